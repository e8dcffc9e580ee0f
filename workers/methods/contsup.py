"""ContSup: modules hear earlier inputs beside the features (arXiv 2312.07636)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from torch import Tensor

from partition.build import LocalModule
from partition.config import GridConfig
from partition.nearest import nearest
from partition.wiring import Wiring
from workers.data.config import DataConfig
from workers.methods.infopro import InfoPro
from workers.step import Inbox, Lesson, Step, Vote, send_ahead, send_context

MODES = ("R0", "R1", "R2", "R4", "R8", "R16", "E", "R1E")  # those of the paper


class Mode(NamedTuple):
    """RnE: the inputs of the last n rows, and the image."""

    memory: int
    image: bool


@dataclass(frozen=True, kw_only=True)
class ContSup(InfoPro):
    """ContSup: a row also reads what earlier rows read, and the image."""

    mode: str = "auto"
    """What a module reads beside the features before it. Rn: the inputs of the last n rows. E: the
    image, encoded. RnE: both. R0: nothing. auto: R1E, or R0 where there is only one row."""
    reconstruct: bool = False
    """Learn to reconstruct the image, too, as InfoPro does."""

    @property
    def reconstructs(self) -> bool:
        """Only if asked."""
        return self.reconstruct

    @property
    def contexts(self) -> Mode | None:
        """What the mode means; None if it is none. Where nothing is settled, auto is R1E."""
        mode = "R1E" if self.mode == "auto" else self.mode
        found = re.fullmatch(r"(?:R(\d+))?(E)?", mode)
        if found is None or not mode:
            return None
        return Mode(memory=int(found[1] or 0), image=found[2] is not None)

    def wiring(self) -> Wiring:
        """InfoPro's, and context routes."""
        mode = self.contexts or Mode(0, False)
        return replace(super().wiring(), memory=mode.memory, image=mode.image)

    def settled(self, grid: GridConfig, data: DataConfig) -> Self:
        """With the contexts that there can be."""
        auto = "R1E" if grid.depth > 1 else "R0"
        method = replace(self, mode=auto if self.mode == "auto" else self.mode)
        return super(ContSup, method).settled(grid, data)

    def problems(self, grid: GridConfig, data: DataConfig) -> Iterator[str]:
        """A mode that is none."""
        if self.contexts is None:
            yield f"unknown --mode {self.mode!r}{nearest(self.mode, MODES)} (any Rn, E or RnE)"
        yield from super().problems(grid, data)

    def learn(self, module: LocalModule, inbox: Inbox, labels: Tensor) -> Step[Lesson]:
        """One batch: i = h + contexts; the local loss sees the features before any context."""
        i = module.supplemented(inbox.features, inbox.contexts)
        yield from send_context(module.owned(i))
        h = module.trunk(i)
        yield from send_ahead(h)
        return (yield from self.judge(module, h, inbox.pixels, labels))

    def vote(self, module: LocalModule, inbox: Inbox) -> Step[Vote]:
        """The same road: contexts are part of the network."""
        i = module.supplemented(inbox.features, inbox.contexts)
        yield from send_context(module.owned(i))
        h = module.trunk(i)
        logits = yield from self.answer(module, h)
        return Vote(features=h, logits=logits)
