"""ContSup: modules hear earlier inputs beside the features (arXiv 2312.07636)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

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
    """ContSup: what a module reads is supplemented by what rows before it read."""

    mode: str = "R1E"
    """Contexts of a module. Rn: the inputs of the last n rows. E: the image, encoded.
    RnE: both. R0: none (greedy learning)."""
    reconstruct: bool = False
    """Learn to reconstruct the image too, as InfoPro does."""

    @property
    def reconstructs(self) -> bool:
        """Only if asked."""
        return self.reconstruct

    @property
    def contexts(self) -> Mode | None:
        """What the mode means; None if it is none."""
        found = re.fullmatch(r"(?:R(\d+))?(E)?", self.mode)
        if found is None or not self.mode:
            return None
        return Mode(memory=int(found[1] or 0), image=found[2] is not None)

    def wiring(self) -> Wiring:
        """InfoPro's, and context routes."""
        mode = self.contexts or Mode(0, False)
        return replace(super().wiring(), memory=mode.memory, image=mode.image)

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
