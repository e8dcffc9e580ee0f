"""A network and a method are added as CONTRIBUTING.md says: one file and one name each.

That is done to a copy of the project, where they are then planned, trained, evaluated and tested.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs import ROOT

PARTS = ("comm", "partition", "workers", "runtime", "tests", "launch.py", "pyproject.toml")

NETWORK = '''"""Convolutions, which groups share out, and a layer of torch that they do not."""

from torch import Tensor, nn

from partition.layers import Conv
from partition.networks.block import Block, Network, Piece, Style
from partition.spans import Span


class Layer(nn.Module):
    """conv3x3 → BN → ReLU."""

    def __init__(self, before: int, width: int, piece: Piece) -> None:
        super().__init__()
        own = Span.of(before, piece.group, piece.groups)
        writes = Span.of(width, piece.group, piece.groups)
        self.conv = Conv(Span.whole(before) if piece.whole else own, writes, 3)
        self.bn = nn.BatchNorm2d(writes.size)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))


def toynet(
    name: str, widths: tuple[int, ...], shape: tuple[int, int, int], _: Style, __: int
) -> Network:
    """One layer per width, pooled in between; the last block is torch's own convolution."""
    befores = (shape[0], *widths)

    def layer(index: int, before: int, width: int) -> Block:
        return Block(
            name=f"layer{index}",
            width=width,
            build=lambda piece: Layer(before, width, piece),
            outlet=lambda _: nn.Sequential(nn.MaxPool2d(2)),
        )

    last = Block(name="last", width=8, build=lambda _: nn.Conv2d(widths[-1], 8, 1))
    blocks = [layer(i, b, w) for i, (b, w) in enumerate(zip(befores, widths, strict=False))]
    return Network(name=name, blocks=(*blocks, last), base=16, even=False)
'''

METHOD = '''"""Every row learns to tell the classes, with smoothed labels."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy

from partition.build import LocalModule
from partition.wiring import Wiring
from workers.methods.local import Local
from workers.step import Inbox, Lesson, Step, Vote, send_ahead


@dataclass(frozen=True, kw_only=True)
class Toy(Local):
    """Toy: greedy learning with smoothed labels."""

    smoothing: float = 0.1
    """How much of a label is everybody's."""

    def wiring(self) -> Wiring:
        """A net per row, and a linear layer at the end."""
        return Wiring(head="1c1f", tail="fc")

    def learn(self, module: LocalModule, inbox: Inbox, labels: Tensor) -> Step[Lesson]:
        """One batch."""
        h = module.trunk(inbox.features)
        yield from send_ahead(h)
        logits = module.head(h)
        loss = cross_entropy(logits, labels, label_smoothing=self.smoothing)
        return Lesson(losses={"task": loss}, logits=logits)

    def vote(self, module: LocalModule, inbox: Inbox) -> Step[Vote]:
        """Trunk and head."""
        h = module.trunk(inbox.features)
        yield from ()
        return Vote(features=h, logits=module.head(h))
'''


def insert(path: Path, before: str, line: str) -> None:
    """Write a line in front of the only one that begins with `before`."""
    lines = path.read_text().splitlines()
    (at,) = [i for i, text in enumerate(lines) if text.startswith(before)]
    path.write_text("\n".join([*lines[:at], line, *lines[at:]]) + "\n")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with a network and a method more: a file each, its import, its name."""
    root = tmp_path_factory.mktemp("copy")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, root)
    networks, methods = root / "partition" / "networks", root / "workers" / "methods"
    (networks / "toynet.py").write_text(NETWORK)
    names = networks / "__init__.py"
    insert(names, "from partition.networks.vgg", "from partition.networks.toynet import toynet")
    insert(names, '    "mlp": (', '    "toynet": ((8, 12), LAYERS, toynet),')
    (methods / "toy.py").write_text(METHOD)
    names = methods / "__init__.py"
    insert(names, "AnyMethod = (", "from workers.methods.toy import Toy\n")
    line = '    | Annotated[Toy, tyro.conf.subcommand("toy")]'
    insert(names, '    | Annotated[Backprop, tyro.conf.subcommand("backprop")]', line)
    return root


def run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the copy, which finds its own rooms first."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=root,
        env={**os.environ, "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


TRAIN = (
    *("train", "toy", "--network", "toynet", "--depth", "3", "--cuts", "single"),
    *("--groups", "2", "3", "1", "--image-size", "8", "--batch", "64", "--eval-batch", "360"),
    *("--max-steps", "2", "--run-dir", "run", "--debug"),
)


def test_the_added_network_is_trained_by_the_added_method(copy: Path) -> None:
    done = run(copy, "launch.py", *TRAIN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "finished" in done.stdout
    refused = run(copy, "launch.py", *TRAIN, "--groups", "2", "3", "2", "--widths", "0", "4")
    assert refused.returncode == 2 and "--widths 0 4" in refused.stderr
    refused = run(copy, "launch.py", *TRAIN, "--groups", "2", "3", "2", "--run-dir", "other")
    assert refused.returncode == 2
    assert "trunk.last is a Conv2d, a whole layer that no group can have" in refused.stderr


def test_the_tests_of_what_is_listed_pass_with_them(copy: Path) -> None:
    """A method without a recipe is fine; what all methods or networks must do, these do too."""
    done = run(
        copy,
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_recipes.py"),
        *("tests/test_planner.py", "tests/test_costs.py", "tests/test_heads.py", "-k"),
        "every_method or every_network or every_family or names_are_unique or published_kind",
    )
    assert done.returncode == 0, done.stdout
    assert "toy" not in done.stdout and " passed" in done.stdout
