"""A module's weights and optimiser at one turn, as safetensors and JSON with a checksum.

    <checkpoints>/turn-0000790/k0g0.safetensors    module.* and optimizer.*
                               k0g0.json           address, turn, step, plan digest, checksum, stays

A checkpoint is complete when the files of every address are there and belong together. Each file is
written aside and renamed, the JSON last, so what is there is whole.
"""

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from comm.address import Address
from comm.errors import BadInput
from workers.aside import replace

FORMAT = 2
KEPT = 2  # complete checkpoints that are kept to go on from, beside those that stay


@dataclass(frozen=True, kw_only=True)
class Note:
    """What stands in the JSON file. `turn` is the first turn that is not yet in the weights.

    A checkpoint `stays` if it was asked for, or ends the run; the others make room for newer ones.
    """

    format: int
    address: str
    turn: int
    step: int
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
    content = save({name: t.detach().cpu().contiguous() for name, t in tensors.items()})
    note = Note(
        format=FORMAT,
        address=str(address),
        turn=turn,
        step=step,
        plan=plan,
        sha256=hashlib.sha256(content).hexdigest(),
        stays=stays,
    )
    here = folder(root, turn)
    here.mkdir(parents=True, exist_ok=True)
    replace(here / f"{address}.safetensors", content)
    replace(here / f"{address}.json", msgspec.json.format(msgspec.json.encode(note)))


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
    """Put weights and optimiser back. Raises BadInput if a file is damaged or of another module."""
    here = folder(root, turn)
    note = msgspec.json.decode((here / f"{address}.json").read_bytes(), type=Note)
    if (note.format, note.address, note.turn, note.plan) != (FORMAT, str(address), turn, plan):
        raise BadInput([f"{here / f'{address}.json'} is of another module, turn or plan"])
    content = (here / f"{address}.safetensors").read_bytes()
    if hashlib.sha256(content).hexdigest() != note.sha256:
        raise BadInput(
            [
                f"{here / f'{address}.safetensors'} is damaged (its checksum differs): "
                "remove this checkpoint's folder to go on from the one before"
            ]
        )
    tensors: dict[str, Tensor] = load(content)
    weights = {n.removeprefix("module."): t for n, t in tensors.items() if n.startswith("module.")}
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise BadInput([f"{here} is of another network: {error}"]) from error
    parameters = dict(module.named_parameters())
    owners = {p: o for o in optimizers for group in o.param_groups for p in group["params"]}
    for label, tensor in tensors.items():
        part, _, rest = label.partition(".")
        if part == "optimizer":
            key, _, name = rest.partition(".")
            parameter = parameters[name]
            if tensor.shape == parameter.shape:  # as the parameter lies in memory
                tensor = torch.empty_like(parameter).copy_(tensor)
            cast(dict[str, Tensor], owners[parameter].state[parameter])[key] = tensor


def complete_turns(root: Path, addresses: Iterable[Address], plan: str) -> list[Note]:
    """The complete checkpoints below `root`, oldest first; one note (of any module) for each."""
    wanted = [str(address) for address in addresses]
    found: list[Note] = []
    for here in root.glob("turn-*"):
        try:
            notes = [
                msgspec.json.decode((here / f"{name}.json").read_bytes(), type=Note)
                for name in wanted
            ]
        except (OSError, msgspec.DecodeError):
            continue
        whole = all((here / f"{name}.safetensors").exists() for name in wanted)
        if whole and {(note.turn, note.plan) for note in notes} == {(notes[0].turn, plan)}:
            found.append(notes[0])
    return sorted(found, key=lambda note: note.turn)


def prune(root: Path, addresses: Iterable[Address], plan: str) -> None:
    """Remove the complete checkpoints that need not stay, but for the newest `KEPT` of them.

    Every module may call this after it has saved, all at once: whatever they remove is older than
    complete checkpoints.
    """
    passing = [note for note in complete_turns(root, addresses, plan) if not note.stays]
    for note in passing[:-KEPT]:
        shutil.rmtree(folder(root, note.turn), ignore_errors=True)


def after(root: Path, turn: int) -> list[Path]:
    """The folders of checkpoints later than `turn`."""
    return [here for here in root.glob("turn-*") if here > folder(root, turn)]
