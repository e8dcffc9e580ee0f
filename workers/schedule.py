"""The turns of a run: which batch comes when. Every module follows the same list."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from workers.data.feed import Split


@dataclass(frozen=True, kw_only=True)
class Pass:
    """A stretch of turns: batches of one epoch of training, or one evaluation (`split` is set)."""

    epoch: int  # counted from 1
    start: int  # the first training step of it; for an evaluation, steps trained so far
    turns: int
    split: Split | None = None


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One batch through the grid. `index` counts all turns of a run, training or not.

    `step` is the global training step (in an evaluation turn, how many were trained), `batch` the
    index within the evaluation.
    """

    index: int
    epoch: int
    step: int
    batch: int
    split: Split | None
    first: bool
    last: bool

    @property
    def learns(self) -> bool:
        return self.split is None

    def __str__(self) -> str:
        return f"step {self.step}" if self.learns else f"evaluation batch {self.batch}"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """All turns of a run, in order."""

    passes: tuple[Pass, ...]

    @cached_property
    def _ends(self) -> list[int]:
        """How many turns there are up to the end of every pass."""
        return list(accumulate(p.turns for p in self.passes))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def turn(self, index: int) -> Turn:
        """The turn at `index`."""
        number = bisect_right(self._ends, index)
        here = self.passes[number]
        offset = index - (self._ends[number] - here.turns)
        return Turn(
            index=index,
            epoch=here.epoch,
            step=here.start + (offset if here.split is None else 0),
            batch=offset,
            split=here.split,
            first=offset == 0,
            last=offset == here.turns - 1,
        )

    def turns(self, start: int = 0) -> Iterator[Turn]:
        """The turns from `start` on."""
        return (self.turn(index) for index in range(start, len(self)))


def training(
    *,
    epochs: int,
    steps_per_epoch: int,
    max_steps: int | None,
    eval_every: int,
    eval_turns: dict[Split, int],
) -> Schedule:
    """Train for `epochs`, evaluating after every `eval_every` of them (0: never) and at the end.

    With a "val" split, it is evaluated along the way and "test" once, at the very end.
    """
    total = epochs * steps_per_epoch
    if max_steps is not None:
        total = min(total, max_steps)
    along: Split = "val" if "val" in eval_turns else "test"
    passes: list[Pass] = []
    for start in range(0, total, steps_per_epoch):
        epoch = start // steps_per_epoch + 1
        stop = min(start + steps_per_epoch, total)
        passes.append(Pass(epoch=epoch, start=start, turns=stop - start))
        if eval_every and (epoch % eval_every == 0 or stop == total):
            passes.append(Pass(epoch=epoch, start=stop, turns=eval_turns[along], split=along))
    if eval_every and along == "val":
        last = passes[-1]
        passes.append(
            Pass(epoch=last.epoch, start=last.start, turns=eval_turns["test"], split="test")
        )
    return Schedule(passes=tuple(passes))


def evaluation(*, epoch: int, step: int, split: Split, turns: int) -> Schedule:
    """One evaluation of a trained grid, and nothing else."""
    return Schedule(passes=(Pass(epoch=epoch, start=step, turns=turns, split=split),))
