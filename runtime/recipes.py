"""Command lines with a name. Whatever is given beside --recipe replaces the recipe's own words."""

import shlex

from comm.errors import BadInput
from partition.nearest import nearest

RECIPES: dict[str, str] = {
    # Four processes on real images in about a minute on two cores: `make demo`.
    "digits-2x2": (
        "gn-dgl --network resnet20 --depth 2 --groups 2 --dataset digits --batch 32 "
        "--epochs 10 --lr 0.1"
    ),
    # GN-DGL's own setting (spec §1.6, §1.7), with its CIFAR-10 from --data-dir.
    "gn-dgl-resnet32-cifar10-k4-g2": (
        "gn-dgl --share maps --network resnet32 --depth 4 --groups 2 --cuts paper "
        "--dataset cifar10 --batch 1024 --epochs 160 --lr 0.8 --lr-every epoch"
    ),
}


def expanded(arguments: list[str]) -> list[str]:
    """`--recipe NAME` replaced by the recipe's words, in front of all others.

    Raises BadInput for an unknown name.
    """
    for index, argument in enumerate(arguments):
        if argument == "--recipe" or argument.startswith("--recipe="):
            if "=" in argument:
                name, rest = argument.split("=", 1)[1], arguments[index + 1 :]
            elif index + 1 < len(arguments):
                name, rest = arguments[index + 1], arguments[index + 2 :]
            else:
                raise BadInput(["--recipe: give a name; python launch.py recipes lists them"])
            if name not in RECIPES:
                raise BadInput([f"unknown recipe {name!r}{nearest(name, RECIPES)}"])
            return [arguments[0], *shlex.split(RECIPES[name]), *arguments[1:index], *rest]
    return arguments
