"""Difference target propagation with feedback trained to match Jacobians (L-DRL).

Ernoult et al., Towards Scaling Difference Target Propagation by Learning Backprop Targets (ICML
2022). Activations travel forward; targets, tensors without a graph, travel back. The feedback
weights of a layer learn from that layer's own input and output alone: nothing else crosses.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from partition.advanced import Advanced
from partition.build import LocalModule
from partition.config import GridConfig
from partition.layers import generator
from partition.papers import FEEDBACK, Feedback
from partition.wiring import Wiring
from workers.data.config import DataConfig
from workers.diagnosis import diagnosed
from workers.methods.local import Local
from workers.replicas import add_up
from workers.step import (
    Inbox,
    Lesson,
    Step,
    Vote,
    alive,
    await_target,
    send_ahead,
    send_target,
)
from workers.targets import Layer, layers_of, target_before, target_of_logits


@dataclass(frozen=True, kw_only=True)
class DTP(Local):
    """DTP: every layer learns to make its target, and feedback weights to pass targets back."""

    network: ClassVar[str] = "simple_vgg"

    rule: Literal["l-drl", "vanilla", "tp"] = "l-drl"
    """How feedback weights learn. l-drl: to match the Jacobian of their layer. vanilla: to
    reconstruct what it read. tp: likewise, and targets are not corrected by the difference."""
    beta: Advanced[float | None] = None
    """Size of the step from the logits to their target, along the gradient of the cross-entropy.
    Default: the published one of the network."""
    iterations: tuple[int, ...] = ()
    """Training steps of the feedback weights in every batch: a number for each layer but the
    first. Default: the published ones of the network."""
    noise: Advanced[tuple[float, ...]] = ()
    """Standard deviation of the noise that feedback weights learn from, for each layer likewise."""
    feedback_lr: Advanced[tuple[float, ...]] = ()
    """Learning rate of the feedback weights, for each layer likewise; it stays constant."""
    feedback_momentum: Advanced[float] = 0.9
    """Momentum of the feedback weights' SGD."""
    feedback_lag: Literal[0, 1] = 0
    """1: make targets with the feedback weights of the batch before, which train while the next
    batch comes up. That is not exactly DTP."""
    diagnose: bool = False
    """Record at every step the angle and distance between each layer's weights and its feedback
    weights, and between the gradients of DTP and of backprop."""

    @property
    def corrected(self) -> bool:
        """Whether targets are difference-corrected."""
        return self.rule != "tp"

    def wiring(self) -> Wiring:
        """Targets from the next row; no auxiliary nets."""
        return Wiring(
            head="none",
            tail="fc",
            feedback=self.feedback.iterations,
            # forward, back, and two gradients; by reconstruction forward, back, and its gradient
            feedback_passes=4 if self.rule == "l-drl" else 3,
            feedback_lag=self.feedback_lag,
        )

    def _with(self, published: Feedback) -> Feedback:
        """What was given, and what is published where nothing was."""
        return Feedback(
            beta=published.beta if self.beta is None else self.beta,
            iterations=self.iterations or published.iterations,
            noise=self.noise or published.noise,
            lr=self.feedback_lr or published.lr,
        )

    @property
    def feedback(self) -> Feedback:
        """How feedback weights are trained; where nothing is settled, as in the usual network."""
        return self._with(FEEDBACK[self.network])

    def settled(self, grid: GridConfig, data: DataConfig) -> Self:
        """With the values that are published for the network, where none are given.

        A network without any has no feedback mirrors: it is refused, whatever the values.
        """
        feedback = self._with(FEEDBACK.get(grid.network, FEEDBACK[self.network]))
        return replace(
            self,
            beta=feedback.beta,
            iterations=feedback.iterations,
            noise=feedback.noise,
            feedback_lr=feedback.lr,
        )

    def problems(self, grid: GridConfig, data: DataConfig) -> Iterator[str]:
        """One value per layer, and each of them possible; the planner counts the iterations."""
        yield from super().problems(grid, data)
        if self.beta is not None and self.beta <= 0:
            yield f"--beta {self.beta:g}: must be above 0"
        if not 0 <= self.feedback_momentum < 1:
            yield f"--feedback-momentum {self.feedback_momentum:g}: from 0 up to, not including, 1"
        published = FEEDBACK.get(grid.network)
        for name in ("iterations", "noise", "feedback_lr"):
            values: tuple[float, ...] = getattr(self, name)
            given = f"--{name.replace('_', '-')} {' '.join(f'{v:g}' for v in values)}"
            layers = len(published.iterations) if published and name != "iterations" else None
            if values and layers is not None and len(values) != layers:
                yield (
                    f"{given}: {grid.network} takes {layers} numbers, one for every layer but the "
                    "first"
                )
            if min(values, default=1) <= 0:
                yield f"{given}: numbers above 0"

    def prepared(self, module: LocalModule) -> list[torch.optim.Optimizer]:
        """Plain SGD with momentum for every mirror."""
        for index, name in enumerate(module.plan.blocks, start=module.plan.first):
            if index:
                module.own_optimizers[name] = torch.optim.SGD(
                    module.mirrors[name].parameters(),
                    lr=self.feedback.lr[index - 1],
                    momentum=self.feedback_momentum,
                )
        return list(module.own_optimizers.values())

    def learn(self, module: LocalModule, inbox: Inbox, labels: Tensor) -> Step[Lesson]:
        """One batch (spec §5.1): forward wave, feedback training, targets down, local losses."""
        layers = list(layers_of(module, inbox.features))
        top = layers[-1].s
        yield from send_ahead(top)
        training = self._train(module, layers, inbox)
        notes: dict[str, float] = {}
        if not self.feedback_lag:
            notes = yield from training
        votes = module.plan.head.votes
        if votes:
            target = target_of_logits(top.detach(), labels, self.feedback.beta)
        else:
            target = yield from await_target()
        targets: list[Tensor] = []
        for layer in reversed(layers):
            targets.append(target)
            if layer.index:
                target = target_before(module, layer, target, corrected=self.corrected)
        if layers[0].index:
            yield from send_target(target)
        losses = {
            layer.name: (layer.s - target).square().sum() / (2 * inbox.batch)
            for layer, target in zip(layers, reversed(targets), strict=True)
        }
        return Lesson(
            losses=losses,
            logits=top if votes else None,
            notes=notes,
            afterwards=training if self.feedback_lag else None,  # as the next wave comes up (§5.3)
        )

    def inspect(self, module: LocalModule, inbox: Inbox, labels: Tensor) -> Step[dict[str, float]]:
        """How far mirrors are from layers, and DTP's gradient from backprop's."""
        if not self.diagnose:
            return {}
        return (yield from diagnosed(module, inbox, labels, corrected=self.corrected))

    def rounds(
        self, module: LocalModule, features: Tensor
    ) -> Iterator[tuple[str, int, Callable[[], object]]]:
        """Every layer's feedback iterations, and its part in the wave of targets."""
        inbox = Inbox(features=features, step=0, batch=len(features), rows=slice(None))
        for layer in layers_of(module, features):
            if layer.index:
                source = self.source(module, layer, 0)
                iterate = partial(self._iterate, module, layer, inbox, source)
                times = self.feedback.iterations[layer.index - 1]
                yield "feedback", times, lambda iterate=iterate: [*iterate()]
                lead = partial(target_before, corrected=self.corrected)
                yield "target", 1, partial(lead, module, layer, layer.s.detach())

    def vote(self, module: LocalModule, inbox: Inbox) -> Step[Vote]:
        """The forward wave alone."""
        h = module.trunk(inbox.features)
        yield from ()  # a step is a generator, also where nothing leaves the module
        return Vote(features=h, logits=h if module.plan.head.votes else None)

    def source(self, module: LocalModule, layer: Layer, step: int) -> torch.Generator:
        """Where the noise of one layer and batch comes from: no other layer draws from it."""
        return generator(module.seed, f"noise.{layer.name}/{step}", device=layer.x.device)

    def _train(
        self, module: LocalModule, layers: Sequence[Layer], inbox: Inbox
    ) -> Step[dict[str, float]]:
        """n_l steps on the feedback weights of every layer; the losses of the last (spec §1.5).

        Negative in healthy training: bounded below by -σ² times the squared norm of the Jacobian.
        """
        losses: dict[str, Tensor] = {}
        for layer in layers:
            if layer.index:
                source = self.source(module, layer, inbox.step)
                for _ in range(self.feedback.iterations[layer.index - 1]):
                    loss = yield from self._iterate(module, layer, inbox, source)
                    losses[f"feedback {layer.name}"] = loss
        return {name: loss.item() for name, loss in losses.items()}

    def _iterate(
        self, module: LocalModule, layer: Layer, inbox: Inbox, source: torch.Generator
    ) -> Step[Tensor]:
        """One step on the feedback weights of one layer; its loss."""
        yield from alive()  # a batch can take minutes
        learn = self._match_jacobians if self.rule == "l-drl" else self._reconstruct
        loss = learn(module, layer, inbox, source)
        mirror = module.mirror(layer.name)
        yield from add_up(module, f"feedback {layer.name}", mirror.parameters())
        optimizer = module.own_optimizers[layer.name]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    @torch.no_grad()
    def _match_jacobians(
        self, module: LocalModule, layer: Layer, inbox: Inbox, source: torch.Generator
    ) -> Tensor:
        """L-DRL (spec §1.5): leaves the gradient at the mirror; the loss, without a graph.

        With r = G(s), rn = G(F(x + dx)) and ry = G(s + dy) it is the mean over the batch of

            Σ -2 dx (rn - r) + (ry - r)²

        G is affine in what it opens: V u + c. So rn - r = V (un - u) and ry - r = V (uy - u), and
        the first term is linear in V: the gradient takes one pass through V, where the formula as
        it stands takes three there and three back, and c has none.
        """
        block, mirror = module.layer(layer.name), module.mirror(layer.name)
        x, y, code = layer.x, layer.s.detach(), layer.code
        dx, dy = self._noise(x, layer, inbox, source), self._noise(y, layer, inbox, source)
        u = mirror.opened(y, code)
        aside = mirror.opened(*block.coded(x + dx)) - u
        along = mirror.opened(y + dy, code) - u
        back = mirror.led(along)
        drift = mirror.pull(aside, dx * (-2 / inbox.batch))
        spread = mirror.pull(along, back * (2 / inbox.batch))
        for parameter in mirror.parameters():
            whole = parameter is mirror.weight
            parameter.grad = drift + spread if whole else torch.zeros_like(parameter)
        return (drift * mirror.weight).sum() + back.square().sum() / inbox.batch

    def _reconstruct(
        self, module: LocalModule, layer: Layer, inbox: Inbox, source: torch.Generator
    ) -> Tensor:
        """The mean over the batch of Σ (G(F(x + dx)) - (x + dx))²: its gradient, and the loss."""
        noisy = layer.x + self._noise(layer.x, layer, inbox, source)
        with torch.no_grad():
            made, code = module.layer(layer.name).coded(noisy)
        back = module.mirror(layer.name)(made, code)
        loss = (back - noisy).square().sum() / inbox.batch
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        return loss.detach()

    def _noise(self, like: Tensor, layer: Layer, inbox: Inbox, source: torch.Generator) -> Tensor:
        """Drawn for the whole batch, whoever computes which part of it."""
        whole = torch.randn(
            (inbox.batch, *like.shape[1:]), generator=source, dtype=like.dtype, device=like.device
        )
        scaled = torch.empty_like(like)  # in its layout
        return torch.mul(whole[inbox.rows], self.feedback.noise[layer.index - 1], out=scaled)  # pyright: ignore
