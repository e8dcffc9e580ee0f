"""A whole run as one value: the command line's words, and the run directory's `config.json`."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from comm.decoding import WRONG, decoded, reason
from comm.errors import Damaged
from partition.advanced import Advanced
from partition.config import GridConfig
from workers.data.config import DataConfig
from workers.methods import METHODS, AnyMethod, name_of
from workers.methods.gn_dgl import GNDGL
from workers.methods.method import Method
from workers.optim import OptimConfig

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Where and how it runs."""

    run_dir: Path | None = None
    """Folder for everything that the run writes. Default: a new one below runs/."""
    resume: Path | None = None
    """Go on with the run in this directory, as it was set up. Beside it go --epochs, --device,
    --threads, and what changes no number."""
    seed: int = 0
    """Seed of weights, order of images, and augmentation."""
    device: Device = "auto"
    """Where to compute. auto: on GPUs if there are any; processes take them in turn."""
    threads: int | None = None
    """Threads of every process. Default: the cores of this host, shared out evenly."""
    memory_format: Advanced[Literal["auto", "channels_last", "contiguous"]] = "auto"
    """How maps lie in memory. auto: channels_last on a CPU, where that is faster."""
    debug: bool = False
    """Run the whole grid in this one process: breakpoints work, autograd looks for anomalies."""
    eval_every: int = 1
    """Evaluate after so many epochs, and after the last; 0: never."""
    save_every: int = 0
    """Keep a checkpoint after every so many epochs; there is always one at the end."""
    save_minutes: Advanced[float] = 2.0
    """Write a checkpoint, too, when the last is so many minutes old; the newest two of these are
    kept. 0: never. Runs with --replay, which can not go on, write none."""
    sleep: Advanced[tuple[float, ...]] = ()
    """Seconds that each row sleeps in every step, to slow it down on purpose; the last number is
    for all rows behind it, too."""
    stall: Advanced[float] = 30.0
    """Seconds without a sign of life after which a process counts as stuck, and the run ends."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that defines a run."""

    method: AnyMethod = field(default_factory=GNDGL)
    grid: GridConfig = field(default_factory=GridConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    run: RunConfig = field(default_factory=RunConfig)


def flag(name: str) -> str:
    """The command line's word for a field."""
    return "--" + name.replace("_", "-")


def _plain(value: object) -> Any:
    return msgspec.to_builtins(value, enc_hook=str)


def _typed(value: object, kind: type[Any]) -> Any:
    def revive(wanted: type[Any], found: Any) -> Any:
        return wanted(found)

    return msgspec.convert(value, kind, dec_hook=revive, strict=False)


def to_json(config: Config) -> bytes:
    """The configuration as readable JSON. Raises ValueError for NaN and infinity."""
    plain = {
        "method": {"name": name_of(config.method), **_plain(config.method)},
        **{part: _plain(getattr(config, part)) for part in ("grid", "data", "optim", "run")},
    }
    return json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False).encode()


def from_json(text: bytes, *, path: Path | str = "config.json") -> Config:
    """What `to_json` wrote. Raises Damaged, naming `path`, for anything else."""
    plain = decoded(text, dict[str, dict[str, Any]], path=path)
    try:
        rule = plain["method"]
        method: Method = _typed(rule, METHODS[str(rule.pop("name"))])
        return Config(
            method=method,  # pyright: ignore[reportArgumentType]
            grid=_typed(plain["grid"], GridConfig),
            data=_typed(plain["data"], DataConfig),
            optim=_typed(plain["optim"], OptimConfig),
            run=_typed(plain["run"], RunConfig),
        )
    except (*WRONG, KeyError) as error:
        raise Damaged(path, reason(text, error)) from error


def problems(config: Config) -> list[str]:
    """What is wrong with the method, the optimiser and the run's own settings."""
    run = config.run
    found = [*config.method.problems(config.grid, config.data), *config.optim.problems()]
    if run.eval_every < 0:
        found.append(f"--eval-every {run.eval_every}: 0 (never) or more")
    if run.save_every < 0:
        found.append(f"--save-every {run.save_every}: 0 (only at the end) or more")
    if run.save_minutes < 0:
        found.append(f"--save-minutes {run.save_minutes:g}: 0 (never) or more")
    slept = f"--sleep {' '.join(f'{seconds:g}' for seconds in run.sleep)}"
    if min(run.sleep, default=0) < 0:
        found.append(f"{slept}: 0 or more seconds")
    if len(run.sleep) > config.grid.depth > 0:
        found.append(f"{slept}: at most one number for each of {config.grid.depth} rows")
    if run.resume is not None and config.grid.replay:
        found.append("a run with --replay can not go on: its stored batches are gone; train anew")
    if run.stall <= 0:
        found.append(f"--stall {run.stall:g}: must be above 0")
    if run.threads is not None and run.threads < 1:
        found.append(f"--threads {run.threads}: at least 1")
    return found
