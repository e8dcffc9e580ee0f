"""Predsim: classes told apart by a linear layer, and samples by how alike they look.

Nøkland & Eidnes, Training Neural Networks with Local Error Signals (ICML 2019); in groups it is the
layer-wise GN-DGL of VGG6a (GN-DGL, section 4.1; spec §3).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn.functional import cross_entropy

from partition.advanced import Advanced
from partition.build import LocalModule
from partition.config import GridConfig
from partition.wiring import PredSimKind, Tail, Wiring
from workers.data.config import DataConfig
from workers.losses import similarity
from workers.methods.local import Peers
from workers.step import Inbox, Lesson, Step, send_ahead


@dataclass(frozen=True, kw_only=True)
class PredSim(Peers):
    """PredSim: rows learn from a prediction and a similarity loss, in groups or not."""

    head: PredSimKind = "predsim"
    """What modules learn from. pred: a linear layer on pooled maps, which predicts the class. sim:
    a convolution whose maps shall be alike for images of one class. predsim: both."""
    beta: float = 0.99
    """Weight of the similarity loss, for --head predsim; the prediction has the rest."""
    dim_in_decoder: Advanced[int] = 4096
    """Features that the prediction reads at most; larger maps are pooled down to so many."""
    tail: Advanced[Tail] = "head"

    def wiring(self) -> Wiring:
        """A linear read-out head behind everything."""
        return replace(
            super().wiring(),
            head=self.head,
            readout="0c1f",
            zero=True,
            room=self.dim_in_decoder,
        )

    def problems(self, grid: GridConfig, data: DataConfig) -> Iterator[str]:
        """Weights that can not be, and a head that tells no classes where classes are needed."""
        yield from super().problems(grid, data)
        if self.dim_in_decoder < 1:
            yield f"--dim-in-decoder {self.dim_in_decoder}: at least 1"
        if not 0 <= self.beta <= 1:
            yield f"--beta {self.beta:g}: from 0 to 1"
        if self.head == "sim" and self.diversity > 0:
            yield (
                "--diversity compares class probabilities, and --head sim has none: use --head "
                "predsim, or --diversity 0"
            )
        if self.head == "sim" and self.tail == "aux":
            yield "--tail aux with --head sim leaves nothing that tells classes: use --tail head"

    def learn(self, module: LocalModule, inbox: Inbox, labels: Tensor) -> Step[Lesson]:
        """One batch (section 2): L = (1 - β) prediction + β similarity."""
        h = module.trunk(inbox.features)
        yield from send_ahead(h)
        seen = yield from self.look(module, h)
        share = 1 - self.beta if self.head == "predsim" else 1.0
        if module.plan.place is None:  # the end of the trunk, a classifier
            logits, alike = module.head(seen), None
        else:
            logits, alike = module.head(seen)
        losses: dict[str, Tensor] = {}
        if logits is not None:
            losses["task"] = share * cross_entropy(logits, labels)
        if alike is not None:
            weight = self.beta if self.head == "predsim" else 1.0
            losses["similarity"] = weight * similarity(alike, labels, module.classes)
        losses |= yield from self.differ(module, logits, labels)
        return Lesson(losses=losses, logits=logits)

    def answer(self, module: LocalModule, h: Tensor) -> Step[Tensor | None]:
        """The prediction's logits, if there are any."""
        found = yield from super().answer(module, h)
        return found[0] if isinstance(found, tuple) else found
