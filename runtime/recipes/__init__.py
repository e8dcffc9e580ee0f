"""Command lines with a name. Whatever is given beside --recipe replaces the recipe's own words.

One file for each project whose experiments these are; its functions yield (name, command line).
"""

import argparse
import shlex
from collections.abc import Callable, Iterator
from itertools import chain

from comm.errors import BadInput
from partition.nearest import nearest
from runtime.recipes import auglocal, contsup, dgl, dtp, gn_dgl, infopro
from runtime.recipes.words import Recipe
from workers.methods import METHODS


def _own() -> Iterator[Recipe]:
    """Four processes on real images in about a minute on two cores: `make demo`."""
    yield (
        "digits-2x2",
        "gn-dgl --network resnet20 --depth 2 --groups 2 --dataset digits --batch 32 "
        "--epochs 10 --lr 0.1",
    )


# Heading → what yields its recipes.
FAMILIES: dict[str, Callable[[], Iterator[Recipe]]] = {
    "Loci's own demonstration": _own,
    "GN-DGL, in K rows of G groups": gn_dgl.multilayer,
    "GN-DGL, single_thread: G thin networks that know nothing of each other": gn_dgl.single_thread,
    "GN-DGL, the DGL of its tables: K rows that end in one linear layer": gn_dgl.depth_only,
    "GN-DGL, layer-wise on VGG6a in ragged groups": gn_dgl.layer_wise,
    "End to end, the baseline of GN-DGL and InfoPro": gn_dgl.end_to_end,
    "InfoPro": infopro.infopro,
    "ContSup": contsup.contsup,
    "DGL, auxiliary nets on six layers": dgl.auxiliary_nets,
    "DGL, replay buffers on six layers": dgl.replay,
    "DTP, one process for each layer, and its baselines": dtp.dtp,
    "AugLocal, one row for each layer": auglocal.auglocal,
}

RECIPES: dict[str, str] = {name: line for make in FAMILIES.values() for name, line in make()}


def listing(words: tuple[str, ...] = ()) -> str:
    """All names below their headings; or, with their command lines, those that have all `words`.

    A word is between dashes, k1 not k16; if no name has it so, it is where one begins, as vgg.
    Raises BadInput if there are none.
    """
    lines: list[str] = []
    parts = [_part(word) for word in words]
    for heading, make in FAMILIES.items():
        found = [recipe for recipe in make() if all(p in f"-{recipe[0]}-" for p in parts)]
        if found:
            lines += ["", f"{heading} ({len(found)})"]
        for name, line in found:
            lines.append(f"  {name}")
            lines += [f"      {line}"] * bool(words)
    if not lines:
        raise BadInput(
            [f"no recipe's name has {' and '.join(words)} in it: launch.py recipes lists them all"]
        )
    if not words:
        lines += ["", "With their command lines: launch.py recipes WORD … (all in the name)"]
    return "\n".join(lines).strip()


def _part(word: str) -> str:
    whole = f"-{word}-"
    return whole if any(whole in f"-{name}-" for name in RECIPES) else f"-{word}"


def expanded(arguments: list[str]) -> list[str]:
    """`--recipe NAME` replaced by the recipe's words, in front of all others but the command.

    `--no-OPTION` leaves an option of the recipe out, with its values; so does the opposite of a
    flag. Raises BadInput for an unknown name, or another method than the recipe's beside it.
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
        meant = nearest(name, RECIPES)
        listed = "; python launch.py recipes lists the known ones"
        raise BadInput([f"unknown recipe {name!r}{meant if 'did you mean' in meant else listed}"])
    method, *words = shlex.split(RECIPES[name])
    if not others or others[0] not in ("train", "plan"):
        raise BadInput([f"--recipe {name} belongs to a command: launch.py train --recipe {name}"])
    command, *own = others
    if own and own[0] in METHODS:
        if own[0] != method:
            raise BadInput([f"recipe {name} is one of {method}: leave out {own[0]}"])
        own = own[1:]
    return [command, method, *_overridden(words, own)]


def _overridden(words: list[str], own: list[str]) -> list[str]:
    """The recipe's words and, behind them, one's own: the last word counts."""
    options: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("--"):
            options[word] = []
        options[[*options][-1]].append(word)
    kept: list[str] = []
    for word in own:
        opposite = word.replace("--no-", "--", 1) if word[:5] == "--no-" else f"--no-{word[2:]}"
        if options.pop(opposite, None) is None:
            kept.append(word)
    return [*chain.from_iterable(options.values()), *kept]
