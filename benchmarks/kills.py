"""A run is killed, frozen, interrupted: does it end soon, name the cause, leave nothing, go on?

    python benchmarks/kills.py [--tries 100] [--seed 0] [--only NUMBER …] [--stall 3]

A grid of 2 x 2 processes trains an MLP on the digits. In every try one of its processes gets a
signal (`hits.py` has whom, which and when). Then: how it ended, how soon, whether the first line of
its error names the one that was hit, and whether a process or a file was left behind. A launcher
that was frozen is let go on after longer than --stall. Then the run is resumed, and its metrics and
weights are compared, byte for byte, with those of a twin that nothing has disturbed.

Prints a line for every try, a table, and how to repeat what was wrong (`verdicts.py`); exit code 1
if anything was.
"""

import argparse
import sys
import tempfile
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.attempt import attempt, twin
from benchmarks.hits import hit_of
from benchmarks.verdicts import Seen, wrong

EARLIER = 4  # so often a hit that came too late is tried again, sooner


def main() -> int:
    """Try, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--tries", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="+", help="the numbers of some tries")
    parser.add_argument("--stall", type=float, default=3.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        own = twin(Path(folder))
    print(f"an undisturbed run takes {own.starting:.1f} s until its first step", flush=True)
    ends: dict[tuple[str, str], list[Seen | None]] = defaultdict(list)
    faults: dict[int, list[str]] = {}
    for number in chosen.only or range(chosen.tries):
        hit = hit_of(chosen.seed, number)
        for _ in range(EARLIER):
            if seen := attempt(hit, own, chosen.stall):
                break
            hit = replace(hit, into=hit.into / 2)
        ends[hit.whom, hit.signal.name].append(seen)
        if seen is None:
            print(f"{number:4} {hit}: too late", flush=True)
            continue
        print(f"{number:4} {hit}: {seen.end} after {seen.seconds:.2f} s", flush=True)
        found = wrong(hit, seen, chosen.stall)
        if found:
            faults[number] = found
            print(f"     WRONG: {'; '.join(found)}", flush=True)
            print("".join(f"     | {line}\n" for line in seen.err.splitlines()[:6]), end="")
    print(f"\n{'':24}tries  median, s  slowest, s  ends")
    for (whom, name), several in sorted(ends.items()):
        times = [seen.seconds for seen in several if seen] or [0.0]
        words = Counter("too late" if seen is None else seen.end for seen in several)
        how = ", ".join(f"{word} {count}" for word, count in words.items())
        print(f"{whom:13}{name:11}{len(several):5}{median(times):11.2f}{max(times):12.2f}  {how}")
    for number, found in faults.items():
        print(f"\n{number} {hit_of(chosen.seed, number)}: {'; '.join(found)}")
    if faults:
        again = " ".join(map(str, faults))
        print(f"\nagain: python benchmarks/kills.py --seed {chosen.seed} --only {again}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
