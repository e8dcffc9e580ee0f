"""The turns of a run: which batch comes when. Every module follows the same list."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

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
    """All turns of a run, in order. Each is found by arithmetic: no number of epochs takes memory.

    There are `steps` training steps in epochs of `per_epoch`. After every `every` epochs (0: never)
    and after the last one come `between` turns that evaluate `along`; at the very end comes `last`.
    """

    steps: int = 0
    per_epoch: int = 1
    every: int = 0
    along: Split = "test"
    between: int = 0
    last: Pass | None = None

    @property
    def epochs(self) -> int:
        """Epochs of training; the last one may be cut short."""
        return -(-self.steps // self.per_epoch)

    @property
    def _trained(self) -> int:
        """How many turns there are before `last`."""
        evaluations = -(-self.epochs // self.every) if self.every else 0
        return self.steps + evaluations * self.between

    def __len__(self) -> int:
        return self._trained + (self.last.turns if self.last else 0)

    def _epoch(self, index: int) -> int:
        """The epoch, counted from 1, in which or behind which a turn before `last` comes."""
        if not self.every:
            return index // self.per_epoch + 1
        cycle, rest = divmod(index, self.every * self.per_epoch + self.between)
        within = min(rest // self.per_epoch, self.every - 1)
        return min(cycle * self.every + within + 1, self.epochs)

    def _pass(self, index: int) -> tuple[Pass, int]:
        """The pass that the turn at `index` belongs to, and the turn's place in it."""
        if not 0 <= index < len(self):
            raise IndexError(f"turn {index} of {len(self)}")
        if self.last is not None and index >= self._trained:
            return self.last, index - self._trained
        epoch = self._epoch(index)
        start = (epoch - 1) * self.per_epoch
        evaluations = (epoch - 1) // self.every if self.every else 0
        offset = index - start - evaluations * self.between
        trained = min(self.per_epoch, self.steps - start)
        if offset < trained:
            return Pass(epoch=epoch, start=start, turns=trained), offset
        after = Pass(epoch=epoch, start=start + trained, turns=self.between, split=self.along)
        return after, offset - trained

    def turn(self, index: int) -> Turn:
        """The turn at `index`."""
        here, offset = self._pass(index)
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
    steps = epochs * steps_per_epoch
    if max_steps is not None:
        steps = min(steps, max_steps)
    along: Split = "val" if "val" in eval_turns else "test"
    schedule = Schedule(
        steps=steps,
        per_epoch=steps_per_epoch,
        every=eval_every,
        along=along,
        between=eval_turns[along],
    )
    if eval_every and along == "val":
        last = Pass(epoch=schedule.epochs, start=steps, turns=eval_turns["test"], split="test")
        schedule = replace(schedule, last=last)
    return schedule


def evaluation(*, epoch: int, step: int, split: Split, turns: int) -> Schedule:
    """One evaluation of a trained grid, and nothing else."""
    return Schedule(last=Pass(epoch=epoch, start=step, turns=turns, split=split))
