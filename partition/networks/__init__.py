"""Networks by name. To add one: one file here and one line in `NETWORKS`."""

from collections.abc import Callable

from comm.errors import BadInput
from partition.nearest import nearest
from partition.networks.block import Network
from partition.networks.mlp import mlp
from partition.networks.resnet import resnet

Widths = tuple[int, ...]
Shape = tuple[int, int, int]


def _resnet(blocks: int) -> tuple[Widths, Callable[[str, Widths, Shape], Network]]:
    def build(name: str, widths: Widths, shape: Shape) -> Network:
        if len(widths) != 4:
            raise BadInput(
                [
                    f"{name} takes four widths (stem and three stages), not {len(widths)}: "
                    "for example --widths 16 16 32 64"
                ]
            )
        w0, w1, w2, w3 = widths
        return resnet(name, blocks, (w0, w1, w2, w3), shape[0])

    return (16, 16, 32, 64), build


# name: (default widths, how to build it for widths and an image shape)
NETWORKS: dict[str, tuple[Widths, Callable[[str, Widths, Shape], Network]]] = {
    "mlp": ((256, 256, 256, 256), mlp),
    "resnet8": _resnet(1),
    "resnet20": _resnet(3),
    "resnet32": _resnet(5),
    "resnet44": _resnet(7),
    "resnet56": _resnet(9),
    "resnet110": _resnet(18),
}


def network(name: str, widths: Widths | None, shape: Shape) -> Network:
    """The named network with `widths` (its own if None) for images of `shape`. Raises BadInput."""
    if name not in NETWORKS:
        raise BadInput([f"unknown network {name!r}{nearest(name, NETWORKS)}"])
    standard, build = NETWORKS[name]
    if widths is not None and (not widths or min(widths) < 1):
        raise BadInput([f"--widths {' '.join(map(str, widths))}: every width must be at least 1"])
    return build(name, widths or standard, shape)
