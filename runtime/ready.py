"""Everything that is decided before the first process starts, with all problems at once."""

import hashlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from comm.errors import BadInput
from partition.costs import BlockCost
from partition.data_spec import DataSpec
from partition.plan import Plan
from partition.planner import plan
from partition.request import Request
from runtime import config as configs
from runtime.config import Config
from runtime.devices import cores
from runtime.finite import finite
from runtime.measured import ASKED, measured
from runtime.measured import problems as measured_problems
from workers.data.batches import check_batches
from workers.data.prepare import prepare
from workers.data.prepared import Prepared
from workers.methods import name_of

_MANY = 1 << 40


def _any_data(name: str, channels: int) -> DataSpec:
    """Stands in where the data has a problem, so that the grid's own problems are found as well."""
    return DataSpec(
        name=name, shape=(channels, 32, 32), classes=10, train=_MANY, test=_MANY, digest=""
    )


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A run that may start: its plan, and the folder its data was prepared in.

    `costs` are what its blocks take, where the cut was found by measuring.
    """

    config: Config
    plan: Plan
    data: Path
    costs: tuple[BlockCost, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of what was chosen for the run."""
        return tuple(self.config.method.notes(self.config.grid, self.config.data))

    @property
    def digest(self) -> str:
        """What all processes must agree on: the plan, the method, the optimiser and the seed."""
        terms = configs.to_json(
            Config(
                method=self.config.method,
                grid=self.config.grid,
                data=replace(self.config.data, data_dir=None, download=False),
                optim=self.config.optim,
                run=configs.RunConfig(
                    seed=self.config.run.seed,
                    eval_every=self.config.run.eval_every,
                    save_every=self.config.run.save_every,
                ),
            )
        )
        return hashlib.sha256(terms + self.plan.digest.encode()).hexdigest()


def make_ready(config: Config, *, expect: list[str] | None = None) -> Ready:
    """Check everything and draw the plan. Raises BadInput with every problem, `expect` included."""
    config, unusable = finite(config)
    problems = [*(expect or ()), *unusable, *configs.problems(config)]
    problems += [*_device_problems(config), *measured_problems(config)]
    channels = len(config.data.mean or config.data.std or "rgb")
    data, spec = None, _any_data(config.data.dataset, channels)
    try:
        data = prepare(config.data)
        spec = Prepared(data).spec
        problems += _turn_problems(config, spec)
    except BadInput as error:
        problems += error.problems
    problems += check_batches(config.data, spec)
    drawn, costs, measures = None, list[BlockCost](), config.grid.cuts == ASKED
    asked = request(config, spec)
    if measures:
        asked = replace(asked, config=replace(asked.config, cuts=("macs",)))
    try:
        drawn = plan(asked)
    except BadInput as error:
        problems += error.problems
    if problems or data is None or drawn is None:
        raise BadInput(problems)
    if measures:
        config, costs = measured(config, asked, drawn)
        drawn = plan(request(config, spec))
    return Ready(config=config, plan=drawn, data=data, costs=tuple(costs))


def request(config: Config, spec: DataSpec) -> Request:
    """What the planner needs to know of a settled configuration."""
    return Request(
        method=name_of(config.method),
        wiring=config.method.wiring(),
        config=config.grid,
        data=spec,
        batch=config.data.batch,
        eval_batch=config.data.eval_batch,
        channels_last=config.run.memory_format == "channels_last",
    )


def _turn_problems(config: Config, spec: DataSpec) -> list[str]:
    """Turns are counted in 63 bits."""
    epochs = config.optim.epochs
    if epochs * (spec.train + spec.test) <= sys.maxsize:
        return []
    return [f"--epochs {epochs}: more batches than can be counted; give fewer epochs"]


def _device_problems(config: Config) -> list[str]:
    found: list[str] = []
    resumed = config.run.resume is not None
    if config.run.device == "cuda" and not torch.cuda.is_available():
        if resumed:
            found.append(
                "the run was made on a GPU, and torch sees none here: add --device cpu to go on, "
                "with other last bits"
            )
        else:
            found.append("--device cuda: torch sees no GPU here; use --device cpu, or leave it out")
    threads = config.run.threads
    if threads is not None and threads > len(cores()):
        other = ", with other last bits" if resumed else ""
        found.append(
            f"--threads {threads}: this host has {len(cores())} cores to use; give that many "
            f"or fewer{other}"
        )
    return found
