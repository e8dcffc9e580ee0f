"""InfoPro: modules keep what their input tells of the image (Wang et al., ICLR 2021)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, Self

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from partition.build import LocalModule
from partition.config import GridConfig
from partition.papers import Lambdas, nearest_lambdas, published_lambdas
from partition.wiring import TAILS, Wiring
from workers.data.config import DataConfig
from workers.losses import contrast
from workers.methods.local import Auxiliary, Peers
from workers.step import Inbox, Lesson, Step, send_ahead

EMBEDDING = 128


@dataclass(frozen=True, kw_only=True)
class InfoPro(Auxiliary, Peers):
    """InfoPro: every row learns its task, and to reconstruct the image."""

    loss: Literal["contrast", "softmax"] = "contrast"
    """What auxiliary nets learn: to tell classes apart by supervised contrast, or by softmax."""
    lambdas: Lambdas | None = None
    """Weights of reconstruction and task at the first auxiliary net, then at the last one. Default:
    the published ones of network, dataset and depth, or the nearest to these."""

    @property
    def reconstructs(self) -> bool:
        """Whether modules have a decoder."""
        return True

    def wiring(self) -> Wiring:
        """Decoders beside the heads, which may write embeddings."""
        return replace(
            super().wiring(),
            keeps=True,
            embeds=EMBEDDING if self.loss == "contrast" else 0,
            decoder=self.reconstructs,
        )

    def _weighs(self, grid: GridConfig) -> bool:
        """Whether any module has losses to weigh: an auxiliary net and a decoder."""
        return self.reconstructs and grid.depth > (self.tail in TAILS)

    def settled(self, grid: GridConfig, data: DataConfig) -> Self:
        """With the published λ of this grid, or the nearest ones that are published."""
        if self.lambdas is not None or not self._weighs(grid):
            return self
        nearest = nearest_lambdas(grid.network, grid.depth)[1]
        return replace(self, lambdas=_published(grid, data).get(grid.depth, nearest))

    def notes(self, grid: GridConfig, data: DataConfig) -> Iterator[str]:
        """That λ are another network's, dataset's or depth's."""
        (network, dataset, depth), nearest = nearest_lambdas(grid.network, grid.depth)
        weighs = self._weighs(grid) and grid.depth not in _published(grid, data)
        if weighs and self.lambdas == nearest:
            yield (
                f"λ {' '.join(f'{weight:g}' for weight in nearest)}: nobody published any for "
                f"{grid.network} on {data.dataset} at depth {grid.depth}, so these are those of "
                f"{network} on {dataset} at depth {depth}; --lambdas takes others"
            )

    def problems(self, grid: GridConfig, data: DataConfig) -> Iterator[str]:
        """λ that can not be, and what contrast has no use for."""
        yield from super().problems(grid, data)
        if self.lambdas is not None:
            given = f"--lambdas {' '.join(f'{weight:g}' for weight in self.lambdas)}"
            if min(self.lambdas) < 0:
                yield f"{given}: weights of 0 or more"
            elif not self.reconstructs:
                yield f"{given} weigh reconstruction and task: add --reconstruct"
        if self.loss == "contrast":
            if data.batch == 1:
                yield "--loss contrast compares the images of a batch: --batch 2 or more"
            if self.diversity > 0:
                yield (
                    "--diversity compares class probabilities, and --loss contrast has none: use "
                    "--loss softmax, or --diversity 0"
                )
            if self.tail == "aux":
                yield (
                    "--tail aux with --loss contrast leaves nothing that tells classes: use --tail "
                    "fc or head"
                )

    def learn(self, module: LocalModule, inbox: Inbox, labels: Tensor) -> Step[Lesson]:
        """One batch (section 3.3): L = λ₁ reconstruction + λ₂ task."""
        h = module.trunk(inbox.features)
        yield from send_ahead(h)
        return (yield from self.judge(module, h, inbox.pixels, labels))

    def judge(
        self, module: LocalModule, h: Tensor, pixels: Tensor | None, labels: Tensor
    ) -> Step[Lesson]:
        """The local loss of features `h`."""
        answer = module.head((yield from self.look(module, h)))
        votes, place = module.plan.head.votes, module.plan.place
        task = cross_entropy(answer, labels) if votes else contrast(answer, labels)
        losses = {"task": task}
        if module.decoder is not None:
            assert place is not None and pixels is not None and self.lambdas is not None
            told = binary_cross_entropy_with_logits(module.decoder(h), pixels)
            first, last = self.lambdas[:2], self.lambdas[2:]
            rec, own = (a * (1 - place) + b * place for a, b in zip(first, last, strict=True))
            losses = {"reconstruction": rec * told, "task": own * task}
        logits = answer if votes else None
        losses |= yield from self.differ(module, logits, labels)
        return Lesson(losses=losses, logits=logits)


def _published(grid: GridConfig, data: DataConfig) -> dict[int, Lambdas]:
    return published_lambdas(grid.network, data.dataset, balanced=grid.cuts == ("balanced",))
