"""What a run directory says of its run: a reader for each file, whose errors name the file."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from comm.decoding import content, decoded
from comm.errors import BadInput, Damaged
from partition.plan import Plan
from runtime import config as configs
from runtime.classes import changed_classes
from runtime.config import Config
from runtime.run_dir import RunDir
from workers.data.batches import check_batches
from workers.data.prepare import prepare
from workers.data.prepared import Prepared


@dataclass(frozen=True, kw_only=True)
class Resume:
    """A line of resumes.jsonl: from `turn` on the run went on with `changes` (option, before).

    `exact`: its numbers are those of a run that was never interrupted. `words` were said then.
    """

    turn: int
    exact: bool
    changes: tuple[str, ...]
    words: tuple[str, ...]


def stored(root: Path) -> Config:
    """The configuration that a run directory holds. Raises BadInput without one, or Damaged."""
    path = RunDir(root).config
    if not path.exists():
        raise BadInput([f"{root}: no run is recorded there; name a run's directory"])
    return configs.from_json(content(path), path=path)


def plan_of(run_dir: RunDir) -> Plan:
    """The plan that a run directory holds. Raises Damaged."""
    return Plan.from_json(content(run_dir.plan), path=run_dir.plan)


def resumes(run_dir: RunDir) -> list[Resume]:
    """How a run went on, each time. Raises Damaged."""
    path = run_dir.resumes
    lines = content(path).splitlines() if path.exists() else []
    return [decoded(line, Resume, path=path) for line in lines]


def recorded(root: Path) -> tuple[Config, Plan]:
    """The configuration and plan of a run. Raises BadInput if there is none, or Damaged."""
    config, run_dir = stored(root), RunDir(root)
    if not run_dir.plan.exists():
        raise BadInput([f"{root}: the run ended before it had a plan: --resume it"])
    plan = plan_of(run_dir)
    problems = [*configs.problems(config), *check_batches(config.data, plan.data)]
    if problems:
        raise Damaged(run_dir.config, "; ".join(problems))
    return config, plan


def moved(root: Path, config: Config, plan: Plan, data_dir: Path | None) -> tuple[Config, Path]:
    """A recorded run's configuration, where run and images are now, and its prepared images.

    Raises BadInput if they are not those it was trained with.
    """
    config = dataclasses.replace(
        config,
        run=dataclasses.replace(config.run, run_dir=root),
        data=dataclasses.replace(config.data, data_dir=data_dir or config.data.data_dir),
    )
    data = prepare(config.data)
    found = Prepared(data)
    if found.spec != plan.data:
        changed = changed_classes(root, found.classes)
        raise BadInput([f"{root}: its images are not those it was trained with", *changed])
    return config, data
