"""Networks by name. To add one: one file here and one line in `NETWORKS`."""

from collections.abc import Callable

from comm.errors import BadInput
from partition.nearest import nearest
from partition.networks.block import Network, Style
from partition.networks.mirrored import lenet, simple_vgg
from partition.networks.mlp import mlp
from partition.networks.resnet import resnet
from partition.networks.vgg import cnn6, vgg6a

Widths = tuple[int, ...]
Shape = tuple[int, int, int]
Build = Callable[[str, Widths, Shape, Style, int], Network]

STAGES = "four widths (stem and three stages)"
LAYERS = "one width per layer"


def _resnet(blocks: int, widths: Widths = (16, 16, 32, 64)) -> tuple[Widths, str, Build]:
    def build(name: str, widths: Widths, shape: Shape, style: Style, _: int) -> Network:
        w0, w1, w2, w3 = widths
        return resnet(name, blocks, (w0, w1, w2, w3), shape[0], style)

    return widths, STAGES, build


# name: (default widths, what they are, how to build it)
NETWORKS: dict[str, tuple[Widths, str, Build]] = {
    "mlp": ((256, 256, 256, 256), LAYERS, mlp),
    "resnet8": _resnet(1),
    "resnet20": _resnet(3),
    "resnet32": _resnet(5),
    "resnet32x2": _resnet(5, (32, 32, 64, 128)),
    "resnet44": _resnet(7),
    "resnet56": _resnet(9),
    "resnet110": _resnet(18),
    "vgg6a": ((128, 256, 512, 512, 1024), LAYERS, vgg6a),
    "vgg6a-x2": ((256, 512, 1024, 1024, 1024), LAYERS, vgg6a),
    "vgg6a-x3": ((384, 768, 1536, 1536, 1024), LAYERS, vgg6a),
    "simple_vgg": ((128, 128, 256, 256, 512), LAYERS, simple_vgg),
    "lenet": ((32, 64, 512), LAYERS, lenet),
    "cnn6": ((128, 256, 256, 512, 512, 512), LAYERS, cnn6),
}

# Sides of the smallest images that networks which halve their maps by pooling can read.
SMALLEST = {"vgg6a": 8, "vgg6a-x2": 8, "vgg6a-x3": 8, "cnn6": 4, "simple_vgg": 32, "lenet": 2}


def network(name: str, widths: Widths | None, shape: Shape, style: Style, classes: int) -> Network:
    """The named network with `widths` (its own if None) for images of `shape`. Raises BadInput."""
    if name not in NETWORKS:
        raise BadInput([f"unknown network {name!r}{nearest(name, NETWORKS)}"])
    standard, what, build = NETWORKS[name]
    given = " ".join(map(str, widths or ()))
    if widths is not None and (not widths or min(widths) < 1):
        raise BadInput([f"--widths {given}: every width must be at least 1"])
    if widths is not None and build is not mlp and len(widths) != len(standard):
        usual = " ".join(map(str, standard))
        raise BadInput(
            [f"--widths {given}: {name} takes {what}, {len(standard)}: its own are {usual}"]
        )
    if min(shape[1:]) < SMALLEST.get(name, 1):
        size = "×".join(map(str, shape[1:]))
        least = SMALLEST[name]
        raise BadInput([f"images of {size} are smaller than {least}, the least that {name} reads"])
    return build(name, widths or standard, shape, style, classes)
