"""Every command that the README and its pages show is run here, shortened to a few steps."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.recipes import RECIPES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
RECIPES_PAGE = (ROOT / "runtime" / "recipes" / "README.md").read_text()
SHORT = {"--network": "resnet8", "--max-steps": "2", "--batch": "8", "--eval-batch": "64"}
COMMANDS = [
    line.split("#")[0].strip()
    for page in (README, RECIPES_PAGE)
    for block in re.findall(r"^```\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith(("python launch.py", "torchrun"))
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder dataset of 24 tiny images."""
    root = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for split, count in (("train", 8), ("test", 4)):
        for name in ("ant", "bee"):
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(0, 255, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{index}.png")
    return root


def shortened(command: str) -> str:
    """A command that trains, so that it trains for a moment."""
    for option, value in SHORT.items():
        command = re.sub(rf" {option} \S+", "", command) + f" {option} {value}"
    return command


def run(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    words = shlex.split(command)
    if words[0] == "torchrun":
        words = [sys.executable, "-m", "torch.distributed.run", *words[1:]]
    else:
        words[0] = sys.executable
    words[words.index("launch.py")] = str(ROOT / "launch.py")
    return subprocess.run(
        words,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "140"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run, to go on with and to evaluate."""
    cwd = tmp_path_factory.mktemp("trained")
    command = "python launch.py train gn-dgl --depth 2 --groups 2 --run-dir run"
    done = run(shortened(command), cwd)
    assert done.returncode == 0, done.stderr
    return cwd / "run"


def test_the_readme_shows_commands() -> None:
    assert len(COMMANDS) >= 12


@pytest.mark.parametrize("command", dict.fromkeys(COMMANDS))
def test_command_of_the_readme(command: str, tmp_path: Path, folder: Path, trained: Path) -> None:
    command = command.replace("PATH", str(folder)).replace("RUN_DIR", str(trained))
    if " train " in command and "--resume" not in command and "--help" not in command:
        command = shortened(command)
    done = run(command, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_plan_in_the_readme_is_what_the_command_prints(tmp_path: Path) -> None:
    shown = re.search(r"^\$ (python launch.py plan .*?)\n(.*?)^```", README, re.M | re.S)
    assert shown is not None
    printed = run(shown[1], tmp_path).stdout
    assert [line.rstrip() for line in printed.splitlines()] == shown[2].splitlines()


def test_make_demo_runs_the_recipe_that_the_readme_promises(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "--dry-run", "demo"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (line,) = [line for line in done.stdout.splitlines() if "launch.py" in line]
    command = line.replace(".venv/bin/python", "python")
    done = run(f"{command} --max-steps 2", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "finished" in done.stdout


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "runtime/recipes/README.md"])
def test_links_lead_to_a_heading_of_a_file_that_is_there(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", (ROOT / page).read_text()):
        path, _, anchor = target.partition("#")
        there = (ROOT / page).parent / path if path else ROOT / page
        assert there.exists(), target
        headings = re.findall(r"^#+ (.*)$", there.read_text(), flags=re.MULTILINE)
        assert not anchor or anchor in {h.lower().replace(" ", "-") for h in headings}, target


def test_the_table_of_recipes_counts_them_all() -> None:
    rows = [line.split(" | ") for line in RECIPES_PAGE.splitlines() if line.startswith("| ")]
    counts = [re.match(r"\d+", row[2]) for row in rows if len(row) > 3]
    assert sum(int(count[0]) for count in counts if count) == len(RECIPES)


def test_recipes_are_called_as_the_pages_say() -> None:
    """Names that stand there whole; others have a placeholder or a choice in them."""
    named = re.findall(r"--recipe ([\w-]+)", README + RECIPES_PAGE)
    beginnings = {recipe.split("-")[0] for recipe in RECIPES}
    named += [
        name
        for name in re.findall(r"`([a-z0-9-]+)`", RECIPES_PAGE)
        if name.split("-")[0] in beginnings and name.count("-") > 1
    ]
    assert len(named) > 10
    assert [name for name in named if name != "NAME" and name not in RECIPES] == []
