"""ContSup's experiments (arXiv 2312.07636; Tab-ct/ContSup, command.sh; spec §6).

Where it reconstructs, λ are InfoPro's; its own table has another last weight for ResNet-110 on SVHN
at K = 4 (0 instead of 1), probably a slip.
"""

from collections.abc import Iterator
from itertools import product

from runtime.recipes.words import Recipe, training

DEPTHS = (2, 4, 8, 16)
BOTH = ("softmax", "contrast")


def contsup() -> Iterator[Recipe]:
    """Every different line; (decoder) is --h_reconstruct."""
    for mode, depth in product(("R0", "E", "R1", "R1E"), DEPTHS):  # tables 1, 2, 4, figure 5
        yield _recipe(depth, mode, "softmax")
        yield _recipe(depth, mode, "softmax", decoder=True)
    for mode, depth in product(("E", "R1", "R1E"), DEPTHS):  # table 2, figure 5
        yield _recipe(depth, mode, "contrast")
    for mode, depths in (("R2", (8, 16)), ("R4", (8, 16)), ("R8", (8, 16)), ("R16", (16,))):
        for depth in depths:  # table 4
            yield _recipe(depth, mode, "softmax")
    for dataset, loss, depth in product(("cifar10", "stl10", "svhn"), BOTH, DEPTHS):  # table 3
        yield _recipe(depth, "R1E", loss, "resnet110", dataset, decoder=True)
    # Figure 4, memory balance. The lines with ResNet-32 forget --balanced_memory; it is meant.
    for depth in DEPTHS:
        yield _recipe(depth, "E", "contrast", cuts="balanced")
    for depth in (2, 3, 4):
        yield _recipe(depth, "E", "contrast", "resnet110", cuts="balanced")


def _recipe(
    depth: int,
    mode: str,
    loss: str,
    network: str = "resnet32",
    dataset: str = "cifar10",
    *,
    cuts: str = "paper",
    decoder: bool = False,
) -> Recipe:
    name = f"contsup-{network}-{dataset}-k{depth}-{mode.lower()}-{loss}"
    return (
        name + "-decoder" * decoder + "-balanced" * (cuts == "balanced"),
        f"contsup --mode {mode} --loss {loss}{' --reconstruct' * decoder} --network {network} "
        f"--depth {depth} --cuts {cuts} {training(dataset)}",
    )
