"""Optimisers and their learning rate, driven by a module's own step (spec §1.6)."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from partition.advanced import Advanced

BASE_LR, BASE_BATCH = 0.8, 1024  # the published pair
ADAM_LR = 1e-3
WARM_START = 1 / 80  # where warm-up begins, as a share of the peak: 0.01 of 0.8


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """How every module updates its weights."""

    epochs: int = 160
    """Passes over the training images."""
    max_steps: int | None = None
    """End after so many batches, if that is earlier; --lr follows --epochs all the same."""
    optimizer: Literal["sgd", "adam"] = "sgd"
    """sgd, with momentum, or adam."""
    lr: float | None = None
    """Learning rate at its peak. Default: 0.8 * batch / 1024 for sgd, 0.001 for adam."""
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    """How the learning rate falls. cosine: smoothly, after a warm-up. step: at --milestones."""
    milestones: Advanced[tuple[int, ...] | None] = None
    """Epochs after which the learning rate drops, for --schedule step.
    Default: after half of --epochs and after three quarters."""
    decay: Advanced[tuple[float, ...]] = (0.1,)
    """What the learning rate is multiplied by when it drops: one number, or one for each
    milestone."""
    lr_every: Advanced[Literal["step", "epoch"]] = "step"
    """Set the learning rate for every step, or once per epoch as the papers' code does."""
    lr_at: Advanced[Literal["end", "start"]] = "end"
    """Where in a step or epoch the cosine is read. end: as GN-DGL's and InfoPro's code does, where
    the last epoch has a rate of 0. start: as torch's own schedulers do, and DTP's code."""
    warmup: Advanced[float | None] = None
    """Epochs in which the rate rises before it follows the cosine. Default: a 16th of --epochs."""
    period: Advanced[float | None] = None
    """Epochs from the peak of the cosine to its trough; after that it rises again. Default:
    --epochs."""
    floor: Advanced[float] = 0.0
    """Learning rate at the trough of the cosine."""
    momentum: Advanced[float] = 0.9
    """Momentum of sgd; 0 is off."""
    nesterov: Advanced[bool] = True
    """Nesterov's kind of momentum, or the plain one."""
    weight_decay: float = 1e-4
    """Weight decay (L2), of biases and batch-norms, too."""
    clip_norm: Advanced[float | None] = None
    """Scale the gradient of a module down to at most this norm. Default: leave it as it is."""

    def problems(self) -> Iterator[str]:
        """What can not be."""
        if self.epochs < 1:
            yield f"--epochs {self.epochs}: train for at least one epoch"
        if self.max_steps is not None and self.max_steps < 1:
            yield f"--max-steps {self.max_steps}: train for at least one step"
        if self.lr is not None and self.lr < 0:
            yield f"--lr {self.lr}: must not be negative"
        if self.milestones is not None and self.schedule != "step":
            yield f"--milestones belong to --schedule step, not {self.schedule}: leave them out"
        elif self.decay != (0.1,) and self.schedule != "step":
            yield f"--decay belongs to --schedule step, not {self.schedule}: leave it out"
        drops = list(self.milestones or ())
        if drops != sorted(set(drops)) or min(drops, default=1) < 1:
            yield f"--milestones {' '.join(map(str, drops))}: epochs in rising order, from 1 on"
        if self.lr_at == "start" and self.schedule != "cosine":
            yield f"--lr-at belongs to --schedule cosine, not {self.schedule}: leave it out"
        if len(self.decay) not in (1, len(self.drops)) or min(self.decay, default=0) <= 0:
            yield (
                f"--decay {' '.join(f'{x:g}' for x in self.decay)}: one number above 0, or "
                f"{len(self.drops)}, one per milestone"
            )
        if self.optimizer == "adam":
            for name, given in (
                ("momentum", self.momentum != 0.9),
                ("no-nesterov", not self.nesterov),
            ):
                if given:
                    yield f"--{name} is of sgd: leave it out, or use --optimizer sgd"
        if self.period is not None and self.period <= 0:
            yield f"--period {self.period:g}: epochs above 0"
        if self.floor < 0:
            yield f"--floor {self.floor:g}: must not be negative"
        if self.warmup is not None and self.warmup < 0:
            yield f"--warmup {self.warmup}: must not be negative"
        if not 0 <= self.momentum < 1:
            yield f"--momentum {self.momentum}: from 0 up to, not including, 1"
        if self.weight_decay < 0:
            yield f"--weight-decay {self.weight_decay}: must not be negative"
        if self.clip_norm is not None and self.clip_norm <= 0:
            yield f"--clip-norm {self.clip_norm}: must be above 0"

    @property
    def drops(self) -> tuple[float, ...]:
        """After how many epochs the rate drops."""
        return self.milestones or (self.epochs / 2, 3 * self.epochs / 4)


@dataclass(frozen=True, kw_only=True)
class LearningRate:
    """The rate of every step. With `config.lr_every == "epoch"` it is constant within an epoch."""

    config: OptimConfig
    batch: int
    steps_per_epoch: int

    @property
    def peak(self) -> float:
        if self.config.lr is not None:
            return self.config.lr
        if self.config.optimizer == "adam":
            return ADAM_LR
        return BASE_LR * self.batch / BASE_BATCH

    def __call__(self, step: int) -> float:
        """The rate of the update that ends step `step` (counted from 0)."""
        done = step / self.steps_per_epoch  # epochs before this step
        reached = (step + 1) / self.steps_per_epoch  # and after it
        if self.config.lr_every == "epoch":
            done = step // self.steps_per_epoch
            reached = done + 1
        if self.config.lr_at == "start":
            reached = done
        match self.config.schedule:
            case "constant":
                return self.peak
            case "step":
                drops, decay = self.config.drops, self.config.decay
                factors = decay * len(drops) if len(decay) == 1 else decay
                passed = (f for drop, f in zip(drops, factors, strict=True) if done >= drop)
                return self.peak * math.prod(passed)
            case "cosine":
                return self._cosine(done, reached)

    def _cosine(self, done: float, reached: float) -> float:
        """c(e) = floor + (peak - floor) (1 + cos(π e / E)) / 2, blended in over the warm-up."""
        config, warmup = self.config, self.config.warmup
        if warmup is None:
            warmup = config.epochs / 16
        wave = 0.5 * (1 + math.cos(math.pi * reached / (config.period or config.epochs)))
        rate = config.floor + (self.peak - config.floor) * wave
        if done >= warmup:
            return rate
        share = done / warmup
        return rate * share + self.peak * WARM_START * (1 - share)


def optimizer(parameters: Iterable[nn.Parameter], config: OptimConfig) -> torch.optim.Optimizer:
    """The optimiser of one module; its rate is set before every update."""
    match config.optimizer:
        case "sgd":
            return torch.optim.SGD(
                parameters,
                lr=0.0,
                momentum=config.momentum,
                nesterov=config.nesterov and config.momentum > 0,
                weight_decay=config.weight_decay,
            )
        case "adam":
            return torch.optim.Adam(parameters, lr=0.0, weight_decay=config.weight_decay)
