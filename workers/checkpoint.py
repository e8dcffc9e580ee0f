"""A module's weights and optimiser at one turn, as safetensors and JSON with a checksum.

    <checkpoints>/turn-0000790/k0g0.safetensors    module.* and optimizer.*
                               k0g0.json           address, turn, step, plan digest, checksum, stays

A checkpoint is complete when the files of every address are there and belong together. Each file is
written aside and renamed, the JSON last, so what is there is whole, unless it was damaged later:
the checksum tells. `workers.shelf` knows which of all checkpoints of a run to go on from.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from comm.address import Address
from comm.decoding import content, read
from comm.errors import Damaged
from workers.aside import make_folder, replace

FORMAT = 2


@dataclass(frozen=True, kw_only=True)
class Note:
    """What stands in the JSON file. `turn` is the first turn that is not yet in the weights.

    A checkpoint `stays` if it was asked for, or ends the run; the others make room for newer ones.
    """

    format: int
    address: str
    turn: Annotated[int, msgspec.Meta(ge=0)]
    step: Annotated[int, msgspec.Meta(ge=0)]
    plan: str
    sha256: str
    stays: bool = True


def folder(root: Path, turn: int) -> Path:
    """Where the checkpoint of `turn` lies."""
    return root / f"turn-{turn:07d}"


def store(
    root: Path,
    module: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    *,
    address: Address,
    turn: int,
    step: int,
    plan: str,
    stays: bool = True,
) -> None:
    """Write one module's part of the checkpoint of `turn`."""
    tensors = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
    for name, parameter in module.named_parameters():
        for optimizer in optimizers:
            kept = cast(dict[str, Tensor | None], optimizer.state.get(parameter, {}))
            for key, tensor in kept.items():  # momentum; Adam's moments and steps
                if tensor is not None:
                    tensors[f"optimizer.{key}.{name}"] = tensor
    weights = save({name: t.detach().cpu().contiguous() for name, t in tensors.items()})
    note = Note(
        format=FORMAT,
        address=str(address),
        turn=turn,
        step=step,
        plan=plan,
        sha256=hashlib.sha256(weights).hexdigest(),
        stays=stays,
    )
    here = folder(root, turn)
    make_folder(root)
    make_folder(here)
    replace(here / f"{address}.safetensors", weights)
    replace(here / f"{address}.json", msgspec.json.format(msgspec.json.encode(note)))


def note_of(here: Path, address: Address | str) -> Note:
    """What is noted of one module in the checkpoint `here`. Raises Damaged."""
    path = here / f"{address}.json"
    note = read(path, Note)
    if note.format != FORMAT:
        raise Damaged(path, f"its format is {note.format}, this version reads {FORMAT}")
    if note.address != str(address) or folder(here.parent, note.turn) != here:
        raise Damaged(path, f"it says that it is of {note.address}, turn {note.turn}")
    return note


def tensors_of(here: Path, address: Address | str) -> dict[str, Tensor]:
    """Everything that one module left in the checkpoint `here`. Raises Damaged."""
    note, path = note_of(here, address), here / f"{address}.safetensors"
    stored = content(path)
    if hashlib.sha256(stored).hexdigest() != note.sha256:
        raise Damaged(path, "its checksum is not the one that was noted")
    try:
        return load(stored)
    except (SafetensorError, ValueError, KeyError) as error:
        raise Damaged(path, f"it does not hold tensors ({error})") from error


@torch.no_grad()
def restore(
    root: Path,
    module: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    *,
    address: Address,
    turn: int,
    plan: str,
) -> None:
    """Put weights and optimiser back. Raises Damaged if a file is, or is of another network."""
    here = folder(root, turn)
    path, tensors = here / f"{address}.safetensors", tensors_of(here, address)
    if note_of(here, address).plan != plan:
        raise Damaged(path, "it is of another plan")
    weights = {n.removeprefix("module."): t for n, t in tensors.items() if n.startswith("module.")}
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        told = " ".join(str(error).split())
        raise Damaged(path, f"it is of another network ({told})") from error
    parameters = dict(module.named_parameters())
    owners = {p: o for o in optimizers for group in o.param_groups for p in group["params"]}
    for label, tensor in tensors.items():
        part, _, rest = label.partition(".")
        if part == "optimizer":
            key, _, name = rest.partition(".")
            parameter = parameters.get(name)
            if parameter is None or parameter not in owners:
                raise Damaged(path, f"it is of another optimiser ({label})")
            if tensor.shape == parameter.shape:  # as the parameter lies in memory
                tensor = torch.empty_like(parameter).copy_(tensor)
            elif tensor.numel() != 1:  # Adam counts its steps
                raise Damaged(path, f"it is of another network ({label})")
            cast(dict[str, Tensor], owners[parameter].state[parameter])[key] = tensor
