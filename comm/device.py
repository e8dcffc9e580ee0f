"""The one place that absorbs the device: where tensors of a frame go, and when it may be reused.

Frames live in host memory. On the CPU the tensors are used where they arrived. On a GPU they are
copied through pinned frames, and a frame is written again only after its copy is done.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


class Landing:
    """Brings the tensors of one frame to `device`."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.pinned = device.type == "cuda"
        self._copied: torch.cuda.Event | None = None

    def land(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The tensors on the device; on the CPU the very same."""
        if not self.pinned:
            return tuple(tensors)
        landed = tuple(tensor.to(self.device, non_blocking=True) for tensor in tensors)
        self._copied = torch.cuda.Event()
        self._copied.record(torch.cuda.current_stream(self.device))
        return landed

    def free(self) -> None:
        """Wait until the frame may be written again."""
        if self._copied is not None:
            self._copied.synchronize()
            self._copied = None
