"""InfoPro's experiments on small images (Wang et al., 2021; blackfeather-wang/InfoPro-Pytorch).

Its λ are the defaults of the method: their table (partition/papers.py) holds what the commands say.
"""

from collections.abc import Iterator

from runtime.recipes.words import Recipe, training


def infopro() -> Iterator[Recipe]:
    """comand.sh, all with the contrastive loss; InfoPro* (--balanced_memory) is `balanced`."""
    for network, dataset, cuts, depths in (
        ("resnet32", "cifar10", "paper", (2, 4, 8, 16)),
        ("resnet110", "cifar10", "paper", (2, 4, 8, 16)),
        ("resnet110", "cifar10", "balanced", (2, 3, 4)),
        ("resnet110", "stl10", "paper", (2, 4, 8, 16)),
        ("resnet110", "stl10", "balanced", (2, 3, 4)),
        ("resnet110", "svhn", "paper", (2, 4, 8, 16)),
    ):
        suffix = "-balanced" if cuts == "balanced" else ""
        for depth in depths:
            yield (
                f"infopro-{network}-{dataset}-k{depth}{suffix}",
                f"infopro --loss contrast --network {network} --depth {depth} --cuts {cuts} "
                f"{training(dataset)}",
            )
