"""The cut network as a value: decided before the first batch, printable, digestible."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec

from comm.address import Address, Grid
from comm.decoding import decoded
from comm.route import Kind, Route
from comm.share import Share
from partition.contexts import ContextSpec
from partition.data_spec import DataSpec
from partition.heads.spec import HeadSpec
from partition.networks.block import Style
from partition.spans import Span
from partition.wiring import Wiring


@dataclass(frozen=True, kw_only=True)
class ModulePlan:
    """One address: its blocks, what it reads and writes (per sample), and what it costs.

    `blocks` is empty for the read-out head, whose `writes` is what it reads. `makes` is the shape
    of the trunk's features, `writes` what leaves of them, pooled on the way to the next row.
    `place` runs from 0 at the first boundary with an auxiliary net to 1 at the last; None for a
    module without one: the read-out head, and the end of a trunk that ends in its classifier.
    It is `group` of its row's `groups`, and computes `share` of every batch: of the members of a
    row, one or the other tells them apart. `first` is the index of its first block in the network;
    `mirrors` has the parameters of every block's feedback mirror, 0 for the network's first, or
    nothing at all. `contexts` supplement the channels `reads_own` of what the module reads. `macs`
    counts the forward pass of all parts for one sample, and a batch's feedback iterations.
    """

    address: Address
    group: int
    groups: int
    share: Share
    blocks: tuple[str, ...]
    reads: tuple[int, ...]
    makes: tuple[int, ...]
    writes: tuple[int, ...]
    head: HeadSpec
    place: float | None
    contexts: tuple[ContextSpec, ...]
    reads_own: Span
    decodes: bool
    first: int
    mirrors: tuple[int, ...]
    parameters: int
    trunk_macs: int
    context_macs: int
    head_macs: int
    decoder_macs: int
    feedback_macs: int

    @property
    def macs(self) -> int:
        own = self.trunk_macs + self.context_macs + self.head_macs + self.decoder_macs
        return own + self.feedback_macs

    @property
    def hears_image(self) -> bool:
        """Whether it reads the images, as its input or as a context."""
        return self.address.k == 0 or any(context.source == 0 for context in self.contexts)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Who computes what, who hears whom, and what it costs. It owns no weight and no process.

    `batch` and `eval_batch` are the largest batches; `whole_macs` is the undivided network with
    global average pooling and one linear layer, `inference_macs` the same with this plan's groups
    and contexts. `predictors` are the rows whose heads write class logits: they vote.
    """

    method: str
    network: str
    widths: tuple[int, ...] | None
    style: Style
    wiring: Wiring
    data: DataSpec
    grid: Grid
    batch: int
    eval_batch: int
    window: int
    replay: int
    dtype: str
    channels_last: bool
    modules: tuple[ModulePlan, ...]
    routes: tuple[Route, ...]
    whole_macs: int
    whole_parameters: int
    inference_macs: int

    def __getitem__(self, address: Address) -> ModulePlan:
        return self._by_address[address]

    @property
    def predictors(self) -> tuple[int, ...]:
        return tuple(row[0].k for row in self.grid.rows if self[row[0]].head.votes)

    @cached_property
    def _by_address(self) -> dict[Address, ModulePlan]:
        return {module.address: module for module in self.modules}

    def rank_macs(self, rank: int) -> int:
        """The forward MACs of everything that process `rank` hosts, for one sample of a batch.

        A replica computes the samples of its share alone.
        """
        hosted = (self[address] for address in self.grid.hosted(rank))
        return sum(-(-module.macs // module.share.of) for module in hosted)

    @property
    def slowest_rank(self) -> int:
        """The process with the most MACs."""
        return max(range(self.grid.processes), key=self.rank_macs)

    @property
    def training_speedup(self) -> float:
        """Whole network over slowest process, in MACs; communication is not counted.

        With feedback training the whole network trains its mirrors too.
        """
        whole = self.whole_macs + self.feedback_macs
        return whole / self.rank_macs(self.slowest_rank)

    @property
    def feedback_macs(self) -> int:
        """What feedback training costs for one sample, in all rows."""
        return sum(module.feedback_macs for module in self.modules if not module.share.index)

    @property
    def inference_speedup(self) -> float:
        """Whole network over the grouped one, in MACs, one after the other."""
        return self.whole_macs / self.inference_macs

    def sent_bytes(self, address: Address) -> dict[Kind, int]:
        """Payload bytes that a module sends in one training step of a full batch."""
        sent: dict[Kind, int] = {}
        for route in self.routes:
            if route.source == address and route.learning:
                sent[route.kind] = sent.get(route.kind, 0) + route.bytes(self.batch)
        return sent

    def to_json(self) -> bytes:
        """The plan as JSON, the same bytes for the same plan."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, text: bytes, *, path: Path | str = "plan.json") -> "Plan":
        """The plan that `to_json` wrote. Raises Damaged, naming `path`, for anything else."""
        return decoded(text, cls, path=path)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the plan, data digest included: what all processes must agree on."""
        return hashlib.sha256(self.to_json()).hexdigest()
