"""What each process that torchrun started has found, and what there is to say of it all."""

from collections.abc import Sequence

import msgspec

from runtime.exits import EXIT_BAD_INPUT


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What one rank found: its exit code, 0 if it can go on, and the errors that it has told.

    A rank that is about to train adds in which directory, and from which turn on.
    """

    host: str
    code: int
    said: str = ""
    run_dir: str = ""
    start: int = 0


def verdict(found: Sequence[Found]) -> tuple[int, str]:
    """The exit code for all, and what rank 0, who has told its own errors, has to add.

    Lines that several ranks have are told once, with their ranks.
    """
    told, words = {*found[0].said.splitlines()}, ""
    for text in dict.fromkeys(one.said for one in found if one.code):
        ranks = [rank for rank, one in enumerate(found) if one.said == text]
        hosts = " and ".join(dict.fromkeys(found[rank].host for rank in ranks))
        named = f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))} on {hosts}"
        new = [line for line in text.splitlines() if line not in told]
        words += "".join(f"{named}: {line}\n" for line in new)
        told |= {*new}
    worst = max(one.code for one in found)
    for rank, one in enumerate(found):
        if not worst and one.start != found[0].start:
            return EXIT_BAD_INPUT, (
                f"error: rank {rank} on {one.host} would go on from batch {one.start}, rank 0 on "
                f"{found[0].host} from batch {found[0].start}: put the run directory on a disk "
                f"that all hosts share, {found[0].run_dir}\n"
            )
    return worst, words
