"""The rooms stay rooms: who may name what, in which order they import, what each says of itself."""

import ast
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("runtime", "workers", "partition", "comm")
INSIDE = sorted(
    [*ROOT.glob("launch.py"), *(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))]
)
OUTSIDE = sorted(p for folder in ("tests", "benchmarks") for p in (ROOT / folder).rglob("*.py"))

# Each of these may run code that it finds in the bytes it reads.
UNPICKLERS = ("pickle", "shelve", "marshal", "dill", "cloudpickle", "joblib", "torch.load")


def dotted_names(source: str) -> set[str]:
    """Return every dotted name that the source imports or reaches, seen through its aliases."""
    names: set[str] = set()
    aliases: dict[str, str] = {}
    nodes = list(ast.walk(ast.parse(source)))
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
            aliases |= {a.asname: a.name for a in node.names if a.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{a.name}" for a in node.names}
            aliases |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    for node in nodes:
        if isinstance(node, ast.Attribute):
            head, _, rest = ast.unparse(node).partition(".")
            names.add(f"{aliases.get(head, head)}.{rest}")
    return names


def uses(source: str, *forbidden: str) -> set[str]:
    """Return the names among `forbidden` that the source reaches, itself or something inside."""
    names = dotted_names(source)
    return {f for f in forbidden if any(f"{name}.".startswith(f"{f}.") for name in names)}


def offenders(paths: Iterable[Path], *forbidden: str) -> dict[str, set[str]]:
    found = {str(path.relative_to(ROOT)): uses(path.read_text(), *forbidden) for path in paths}
    return {path: names for path, names in found.items() if names}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    tool = Path(sysconfig.get_path("scripts")) / "lint-imports"
    return subprocess.run([tool, "--no-cache"], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    "source",
    [
        "import torch.distributed as dist",
        "from torch import distributed",
        "from torch.distributed import send",
        "import torch\ntorch.distributed.barrier()",
        "import torch as t\nt.distributed.barrier()",
        "def f():\n    import torch.distributed.rpc",
    ],
)
def test_the_checker_sees_through_every_spelling(source: str) -> None:
    assert uses(source, "torch.distributed") == {"torch.distributed"}


@pytest.mark.parametrize("source", ["import torch.distributions", '"""Of torch.distributed."""'])
def test_the_checker_leaves_neighbours_alone(source: str) -> None:
    assert not uses(source, "torch.distributed")


def test_torch_distributed_and_zmq_stay_inside_comm() -> None:
    elsewhere = (p for p in INSIDE if "comm" not in p.relative_to(ROOT).parts[:1])
    assert not offenders(elsewhere, "torch.distributed", "zmq")


def test_nothing_is_unpickled() -> None:
    assert uses("import torch\ntorch.load('x')", *UNPICKLERS) == {"torch.load"}
    # A published dataset is pickled: that file's reader admits arrays and plain containers alone.
    restricted = ROOT / "workers" / "data" / "pickles.py"
    assert not offenders((path for path in INSIDE if path != restricted), *UNPICKLERS)


def test_tests_and_benchmarks_are_imported_by_nobody() -> None:
    assert not offenders(INSIDE, "tests", "benchmarks")


def test_benchmarks_import_no_tests() -> None:
    """Tests may watch runs with what benchmarks/runs.py has; nothing goes the other way."""
    benchmarks = (path for path in OUTSIDE if "benchmarks" in path.relative_to(ROOT).parts[:1])
    assert not offenders(benchmarks, "tests")


def test_every_file_says_first_what_it_is_for() -> None:
    silent = [str(p) for p in INSIDE + OUTSIDE if not ast.get_docstring(ast.parse(p.read_text()))]
    assert not silent


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_does_not_know(room: str) -> None:
    docstring = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text())) or ""
    assert "does not know" in " ".join(docstring.split())


def test_a_room_imports_only_the_rooms_below_it() -> None:
    verdict = lint_imports(ROOT)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


@pytest.mark.parametrize("upwards", ["import workers", "import launch", "import tests"])
def test_an_import_upwards_is_caught(tmp_path: Path, upwards: str) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for room in ROOMS:
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text(upwards if room == "comm" else "")
    verdict = lint_imports(tmp_path)
    assert verdict.returncode != 0
    assert "broken" in verdict.stdout.lower()
