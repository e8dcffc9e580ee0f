"""ResNet-32 and its training loop as anybody would write them: the yardstick of the baseline.

python benchmarks/bare.py channels_last 16     prints seconds per step, on one core
"""

import os
import sys
from time import perf_counter

import torch
from torch import Tensor, nn

BATCH, WARM = 128, 4  # the first steps are not counted


class Block(nn.Module):
    """A basic block."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Sequential()
        if stride != 1 or before != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        h = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(h + self.shortcut(x))


def resnet32() -> nn.Module:
    """Stem, three stages of five blocks, pooling, one linear layer."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 16, 3, 1, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(inplace=True),
    ]
    before = 16
    for width in (16, 32, 64):
        for index in range(5):
            layers.append(Block(before, width, 2 if width > 16 and index == 0 else 1))
            before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def main(layout: str, steps: int) -> None:
    """Train on random images, pinned to one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    torch.manual_seed(0)
    memory_format = getattr(torch, layout)
    network = resnet32().to(memory_format=memory_format)
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    images = torch.randn(BATCH, 3, 32, 32).to(memory_format=memory_format)
    labels = torch.randint(10, (BATCH,))
    times: list[float] = []
    for _ in range(WARM + steps):
        began = perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()
        times.append(perf_counter() - began)
    print(sum(times[WARM:]) / steps)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
