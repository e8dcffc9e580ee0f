"""What is left of a run that did not reach its end, and what its user can do next."""

from partition.plan import Plan
from runtime.run_dir import RunDir


def next_move(run_dir: RunDir, plan: Plan) -> str:
    """How to go on, in one line."""
    found = run_dir.shelf(plan).complete()
    if not found:
        anew = "with another --run-dir" if plan.replay else f"with train --resume {run_dir.root}"
        return f"It had not written a checkpoint yet: begin anew, {anew}"
    last = f"Its last checkpoint is from after step {found[-1].step}"
    if plan.replay:
        return (
            f"{last}; a run with --replay can not go on from there, as its stored batches are gone."
        )
    return f"{last}; to go on from there: python launch.py train --resume {run_dir.root}"


def telling_logs(run_dir: RunDir, plan: Plan) -> list[str]:
    """One line naming the modules' logs that have something to tell."""
    logs = (run_dir.module(address) / "log.txt" for address in plan.grid)
    telling = [str(log) for log in logs if log.exists() and log.stat().st_size]
    if not telling:
        return []
    more = f" and {len(telling) - 3} more beside" if len(telling) > 3 else ""
    return [f"more is in {', '.join(telling[:3])}{more}"]
