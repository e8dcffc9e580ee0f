"""GN-DGL's experiments (Patel et al.; adeetyapatel12/GN-DGL; spec §1, §2, §3)."""

from collections.abc import Iterator
from itertools import product

from runtime.recipes.words import Recipe, training

NETWORKS = ("resnet32", "resnet32x2")  # --wide-list 16,16,32,64 and 32,32,64,128
DATASETS = ("cifar10", "cifar100", "imagenet32")
# Depth → groups. Depth 1 is their key "1A"; its key "1" does not run with groups (spec §8.1).
GROUPS = {1: (1, 2, 4, 8), 2: (1, 2, 4, 8), 4: (1, 2, 4, 8), 8: (1, 2, 4), 16: (1, 2)}

VGG6A = (
    "--depth 5 --cuts even --slope 0.01 --dropout 0.01 --dataset cifar10 --batch 128 "
    "--augment zero --pad 4 --mean 0.424 0.415 0.384 --std 0.283 0.278 0.284 --epochs 150 "
    "--optimizer adam --lr 1e-3 --schedule step --milestones 50 100 --decay 0.5 0.2 "
    "--weight-decay 0"
)


def multilayer() -> Iterator[Recipe]:
    """Multilayer_GN_DGL/commands.sh, a loop over K, G and dataset; the README adds the x2 width."""
    for network, dataset, depth in product(NETWORKS, DATASETS, GROUPS):
        for groups in GROUPS[depth]:
            yield (
                f"gn-dgl-{network}-{dataset}-k{depth}-g{groups}",
                f"gn-dgl --share maps --diversity 0.5 --temperature 3 --network {network} "
                f"--depth {depth} --groups {groups} --cuts paper {training(dataset)}",
            )


def single_thread() -> Iterator[Recipe]:
    """single_thread/commands.sh: no --detach, no --div-reg, no read-out head."""
    for network, dataset, groups in product(NETWORKS, DATASETS, (2, 4, 8)):
        yield (
            f"single-thread-{network}-{dataset}-g{groups}",
            f"gn-dgl --share none --diversity 0 --tail aux --network {network} "
            f"--depth 1 --groups {groups} {training(dataset)}",
        )


def depth_only() -> Iterator[Recipe]:
    """The DGL rows of the tables. Their code, run with one group, ends in other heads (§1.9)."""
    for network, dataset, depth in product(NETWORKS, DATASETS, (2, 4, 8, 16)):
        yield (
            f"dgl-{network}-{dataset}-k{depth}",
            f"dgl --tail fc --network {network} --depth {depth} --cuts paper {training(dataset)}",
        )


def end_to_end() -> Iterator[Recipe]:
    """The end-to-end rows of the tables, and of InfoPro's with ResNet-110."""
    pairs = [*product(NETWORKS, DATASETS), *product(["resnet110"], ["cifar10", "svhn", "stl10"])]
    for network, dataset in pairs:
        yield (
            f"backprop-{network}-{dataset}",
            f"backprop --network {network} {training(dataset)}",
        )


def layer_wise() -> Iterator[Recipe]:
    """Section 4.1, of which no code is published: its tables 1, 2 and 3. G groups are G, 2G, G.

    Weight and temperature of the diversity term are not given there; these are the ResNets'.
    """
    diverse = "--diversity 0.5 --temperature 3 "
    variants = [
        *(("vgg6a", groups, "", "") for groups in (1, 2, 4, 6, 8, 10)),
        ("vgg6a", 6, "-diversity", diverse),
        ("vgg6a", 6, "-maps-diversity", f"--share maps {diverse}"),
        *((f"vgg6a-{width}", groups, "", "") for width in ("x2", "x3") for groups in (1, 6)),
    ]
    for network, groups, suffix, words in variants:
        rows = (groups, 2 * groups, groups, 1, 1) if groups > 1 else (1,)
        yield (
            f"predsim-{network}-cifar10-g{groups}{suffix}",
            f"predsim {words}--network {network} --groups {' '.join(map(str, rows))} {VGG6A}",
        )
