"""From a lesson to new weights: backward, and then, with everyone's gradients, one step."""

import torch
from torch import nn

from comm.errors import Diverged
from workers.step import Lesson


def backward(optimizer: torch.optim.Optimizer, lesson: Lesson) -> dict[str, float]:
    """Leave the gradient of the lesson's losses, plainly summed; what to record of them.

    Raises Diverged if the loss is not finite.
    """
    total = torch.stack(list(lesson.losses.values())).sum()
    values = {"loss": total.item()}
    values |= {name: loss.item() for name, loss in lesson.losses.items()} | lesson.notes
    if not torch.isfinite(total):
        named = ", ".join(f"{name} {values[name]}" for name in lesson.losses)
        raise Diverged(f"the loss is {values['loss']} ({named}); try a lower --lr or --clip-norm")
    optimizer.zero_grad(set_to_none=True)
    total.backward()  # pyright: ignore[reportUnknownMemberType]
    return values


def advance(
    module: nn.Module, optimizer: torch.optim.Optimizer, *, rate: float, clip_norm: float | None
) -> dict[str, float]:
    """Update the weights once; what to record of it. `clip_norm` bounds the gradient's norm."""
    values: dict[str, float] = {}
    if clip_norm is not None:
        values["norm"] = torch.nn.utils.clip_grad_norm_(module.parameters(), clip_norm).item()
    values["lr"] = rate
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    return values
