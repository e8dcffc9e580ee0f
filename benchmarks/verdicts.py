"""What may come of a hit: a pure function from what was seen to what was wrong with it."""

import signal
from dataclasses import dataclass

from benchmarks.hits import Hit
from runtime.exits import EXIT_BAD_INPUT, EXIT_FAILED, EXIT_STOPPED

BEYOND = 2.0  # seconds beyond --stall that nothing may take
ENDS = {
    0: "finished",
    EXIT_FAILED: "failed",
    EXIT_STOPPED: "stopped",
    -signal.SIGKILL: "killed",
}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What came of a hit.

    `seconds` passed from the hit (or from when the run could go on again, or from its last sign of
    work, if it went on) to its end. There was a run to go on with if it `began`, and nothing left
    to do if it was `complete`; `resumed` is the exit code of `--resume`, and `same` tells whether
    it then had the bits of its undisturbed twin.
    """

    code: int | None  # None: it had to be ended
    err: str = ""
    seconds: float = 0.0
    lost: tuple[str, ...] = ()  # modules gone while the launcher was frozen
    processes: tuple[str, ...] = ()  # left behind
    files: tuple[str, ...] = ()  # left behind
    began: bool = True
    complete: bool = False
    resumed: int = 0
    same: bool = True

    @property
    def end(self) -> str:
        """In a word."""
        return "hung" if self.code is None else ENDS.get(self.code, f"exit code {self.code}")


def allowed(hit: Hit) -> set[str]:
    """How a run may end that was hit so."""
    asked = hit.signal in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    late = {"finished"} if hit.moment == "end" else set[str]()
    match hit.whom:
        case "launcher" if asked:
            return {"stopped"} | late
        case "launcher":
            return {"killed"} if hit.signal == signal.SIGKILL else {"finished"}
        case "fork server":
            if hit.signal == signal.SIGKILL:
                # killed before it is asked for a module, it is replaced
                return {"failed"} | late | ({"finished"} if hit.moment == "start" else set())
            return {"finished"} if hit.signal == signal.SIGINT else {"finished", "failed"}
        case "tracker":
            return {"finished"}
        case _:
            if not asked:
                return {"failed"} | late
            return {"stopped", "failed"} | (late if hit.victim == "k0g0" else {"finished"})


def named(hit: Hit, err: str) -> bool:
    """Whether the first line of an error has the victim, and what happened to it."""
    first = err.splitlines()[0] if err else ""
    who = first.startswith(hit.victim) if hit.whom == "module" else hit.victim in first
    return who and ("froze" if hit.signal == signal.SIGSTOP else hit.signal.name) in first


def wrong(hit: Hit, seen: Seen, stall: float) -> list[str]:
    """Everything that should not have been."""
    found: list[str] = []
    if seen.end not in allowed(hit):
        found.append(f"{seen.end}, not {' or '.join(sorted(allowed(hit)))}")
    elif seen.end == "failed" and not named(hit, seen.err):
        found.append("another cause is named")
    if seen.end != "failed" and seen.err:
        found.append("an error is told")
    if "Traceback" in seen.err:
        found.append("a traceback is shown")
    if seen.seconds > stall + BEYOND:
        found.append(f"it took {seen.seconds:.1f} s")
    if seen.lost:
        found.append(f"{', '.join(seen.lost)} ended while the launcher was frozen")
    if seen.processes:
        found.append(f"left running: {', '.join(seen.processes)}")
    if seen.files:
        found.append(f"left behind: {', '.join(seen.files)}")
    if not seen.began and hit.moment != "start":
        found.append("nothing is there to go on with")
    if seen.resumed != (0 if seen.began else EXIT_BAD_INPUT):
        found.append(f"resuming it ended with exit code {seen.resumed}")
    elif seen.began and not seen.same:
        found.append("resumed, it differs from its twin")
    if seen.end == "stopped" and seen.complete:
        found.append("it was complete, and called stopped")
    if seen.end == "finished" and not seen.complete:
        found.append("it was not complete, and called finished")
    return found
