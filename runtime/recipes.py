"""Command lines with a name. Whatever is given beside --recipe replaces the recipe's own words."""

import argparse
import shlex

from comm.errors import BadInput
from partition.nearest import nearest
from workers.methods import METHODS

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
    """`--recipe NAME` replaced by the recipe's words, in front of all others but the command.

    Raises BadInput for an unknown name, or another method than the recipe's beside it.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--recipe", nargs="?", const="")
    try:
        chosen, others = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise BadInput([f"--recipe: {error}"]) from error
    name: str | None = chosen.recipe
    if name is None:
        return arguments
    if not name:
        raise BadInput(["--recipe: give a name; python launch.py recipes lists them"])
    if name not in RECIPES:
        raise BadInput([f"unknown recipe {name!r}{nearest(name, RECIPES)}"])
    method, *words = shlex.split(RECIPES[name])
    if not others or others[0] not in ("train", "plan"):
        raise BadInput([f"--recipe {name} belongs to a command: launch.py train --recipe {name}"])
    command, *own = others
    named = [word for word in own if word in METHODS]
    if any(word != method for word in named):
        raise BadInput([f"recipe {name} is one of {method}: leave out {', '.join(named)}"])
    return [command, method, *words, *(word for word in own if word != method)]
