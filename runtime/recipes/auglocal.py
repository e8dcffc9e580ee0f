"""AugLocal's experiments (Ma et al., ICLR 2024; ChenxiangMA/AugLocal, run.sh, README; spec §7)."""

from collections.abc import Iterator
from itertools import product

from runtime.recipes.words import Recipe


def auglocal() -> Iterator[Recipe]:
    """--aux_net_depth d. Their --local_module_num counts the layers; d of them join the last row.

    The warm-up takes ten epochs there, however many follow.
    """
    for (network, layers), d in product((("resnet32", 16), ("resnet110", 55)), (1, 2, 3, 5)):
        yield (
            f"auglocal-{network}-cifar10-d{d}",
            f"dgl --head layers --layers {d} --pyramid --network {network} --depth {layers - d} "
            "--cuts single --dataset cifar10 --batch 1024 --epochs 400 --warmup 10 --lr 0.8 "
            "--lr-every epoch",
        )
