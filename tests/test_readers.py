"""Whatever stands in the files of a run directory, reading them says so by the file's name.

Torn, binary and foreign files, and bits that flipped: each reader gives a value, or BadInput.
"""

import hashlib
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comm.address import Address
from comm.errors import BadInput, Damaged
from partition.build import build
from partition.plan import Plan
from runtime.failure import read_notes, write_note
from runtime.recorded import Resume, plan_of, recorded, resumes, stored
from runtime.run_dir import RunDir
from runtime.traces import traces
from tests.here import SMALL, command, edit, resume
from workers import checkpoint
from workers.metrics import metrics
from workers.optim import optimizer

MODULE, COUNTS = Address(1, 0), Address(2, 0)  # the last counts the votes
LAST = "turn-0000014"
FILES = {
    "config": "config.json",
    "plan": "plan.json",
    "metrics": "modules/k2g0/metrics.jsonl",
    "timing": "modules/k1g0/timing.json",
    "resumes": "resumes.jsonl",
    "note": f"checkpoints/{LAST}/{MODULE}.json",
    "weights": f"checkpoints/{LAST}/{MODULE}.safetensors",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything that a run may leave."""
    root = tmp_path_factory.mktemp("whole") / "run"
    answer = command(*SMALL, "--debug", "--run-dir", root)
    assert answer.code == 0, answer.err
    (root / FILES["resumes"]).write_bytes(
        msgspec.json.encode(Resume(turn=6, exact=False, changes=("--threads 2",), words=())) + b"\n"
    )
    return root


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def plan(root: Path) -> Plan:
    return plan_of(RunDir(root))


def restore(root: Path) -> None:
    """Into a module of its own, as a worker does."""
    drawn = plan(root)
    module = build(drawn, MODULE, seed=0, device=torch.device("cpu"))
    own = optimizer(module.learned(), stored(root).optim)
    folder = root / "checkpoints"
    checkpoint.restore(folder, module, [own], address=MODULE, turn=14, plan=drawn.digest)


def left(root: Path, drawn: Plan) -> None:
    """The summary's reader never raises."""
    try:
        traces(RunDir(root), drawn)
    except BadInput as error:
        raise AssertionError("a summary must not fail") from error


# Of a run directory in which the file is damaged, and of its plan.
READERS: dict[str, Callable[[Path, Plan], object]] = {
    "config": lambda root, _: recorded(root),
    "plan": lambda root, _: recorded(root),
    "metrics": lambda root, drawn: (metrics(RunDir(root).metrics(COUNTS)), left(root, drawn)),
    "timing": left,
    "resumes": lambda root, drawn: (left(root, drawn), resumes(RunDir(root))),
    "note": lambda root, _: restore(root),
    "weights": lambda root, _: restore(root),
}


def damaged(content: bytes) -> st.SearchStrategy[bytes]:
    """Bytes of anything, a part, or all of it with some bits or bytes that changed."""

    def flipped(bits: list[int]) -> bytes:
        changed = bytearray(content)
        for bit in bits:
            changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)

    def spliced(at: int, other: bytes) -> bytes:
        return content[:at] + other + content[at + len(other) :]

    place = st.integers(0, len(content) - 1)
    return st.one_of(
        st.binary(max_size=200),
        st.integers(0, len(content)).map(lambda end: content[:end]),
        st.lists(st.integers(0, 8 * len(content) - 1), min_size=1, max_size=4).map(flipped),
        st.builds(spliced, place, st.binary(min_size=1, max_size=12)),
        st.builds(
            spliced, place, st.sampled_from([b"[" * 5000, b"9" * 400, b'"\\ud800"', b"null"])
        ),
    )


@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=40, deadline=None, suppress_health_check=[*HealthCheck])
@given(data=st.data())
def test_a_reader_gives_a_value_or_bad_input(whole: Path, kind: str, data: st.DataObject) -> None:
    path = whole / FILES[kind]
    before = path.read_bytes()
    drawn = plan(whole)
    path.write_bytes(data.draw(damaged(before)))
    try:
        with suppress(BadInput):
            READERS[kind](whole, drawn)
    finally:
        path.write_bytes(before)


@settings(max_examples=60, deadline=None, suppress_health_check=[*HealthCheck])
@given(data=st.data())
def test_weights_with_a_right_checksum_are_restored_or_damaged(
    whole: Path, data: st.DataObject
) -> None:
    """Whoever wrote them has noted their checksum: reading them has to find out."""
    path = whole / FILES["weights"]
    note = path.with_suffix(".json")
    before = path.read_bytes(), note.read_bytes()
    header = 8 + int.from_bytes(before[0][:8], "little")
    content = data.draw(damaged(before[0][:header])) + before[0][header:]
    path.write_bytes(content)
    edit(note, sha256=hashlib.sha256(content).hexdigest())
    try:
        with suppress(Damaged):
            restore(whole)
    finally:
        path.write_bytes(before[0])
        note.write_bytes(before[1])


WORDS: dict[str, tuple[str, bytes, str]] = {
    "empty": ("config.json", b"", "it is empty"),
    "zeros, as after a power cut": ("config.json", bytes(512), "it is empty"),
    "torn": ("config.json", b'{"method": {"name": "gn-d', "it ends in the middle"),
    "binary": ("config.json", b"\xff\xfe\x00\x01", "it is not JSON"),
    "binary text": ("config.json", b'{"method": {"name": "\xff"}}', "it is not JSON"),
    "foreign": ("config.json", b"{}", "it was edited, or is of another version ('method')"),
    "a torn plan": ("plan.json", b'{"method": ', "it ends in the middle"),
    "a foreign plan": ("plan.json", b"[1, 2]", "it was edited, or is of another version (Expected"),
}


@pytest.mark.parametrize("name", WORDS)
def test_a_damaged_file_is_named_in_plain_words(name: str, run: Path) -> None:
    file, content, words = WORDS[name]
    (run / file).write_bytes(content)
    for answer in (command("evaluate", run), resume(run), command("plan", "--resume", run)):
        assert answer.code == 2
        (line,) = answer.err.splitlines()
        assert line.startswith(f"error: {run / file} is damaged: {words}"), line
    assert not [*(run / "checkpoints").glob("aside-*")]


def test_settings_that_can_not_be_are_damage_to_the_configuration(run: Path) -> None:
    edit(run / "config.json", batch=0)
    answer = command("evaluate", run)
    assert answer.code == 2
    assert answer.err.startswith(f"error: {run}/config.json is damaged: --batch 0")


def test_the_summary_leaves_out_what_can_not_be_read_with_a_word(run: Path) -> None:
    drawn = plan(run)
    lines = (run / FILES["metrics"]).read_bytes().splitlines(keepends=True)
    (run / FILES["metrics"]).write_bytes(b"".join([*lines[:3], b"\xff\n", *lines[4:], b'{"tu']))
    (run / FILES["timing"]).write_bytes(b'{"rank": 0')
    found = traces(RunDir(run), drawn)
    assert [result["epoch"] for result in found.evaluations] == [1, 2]
    assert sorted(found.timings) == ["k0g0", "k2g0"]
    assert [word.replace(str(run), "RUN") for word in found.words] == [
        "RUN/modules/k2g0/metrics.jsonl ends in half a line, as a sudden end leaves it: left out",
        "RUN/modules/k2g0/metrics.jsonl is damaged: line 4 can not be read: left out",
        "RUN/modules/k1g0/timing.json is damaged: it ends in the middle: left out",
        "it went on from batch 6 with --threads 2: from there on the last bits are not those of a "
        "run that was never interrupted",
    ]


def test_a_log_with_a_hole_is_not_replayed(tmp_path: Path) -> None:
    root = tmp_path / "run"
    words = ("train", "dgl", *SMALL[2:], "--replay", "2", "--debug", "--run-dir", root)
    assert command(*words).code == 0
    path = root / "modules" / "k1g0" / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for content, words in (
        (b"".join([*lines[:3], b"{\n", *lines[3:]]), "line 4 can not be read"),
        (b"".join(lines[:-3]), "it does not hold what 12 steps read"),
        (b"".join(lines).replace(b'"read":8', b'"read":8888'), "it does not hold what 12 steps"),
    ):
        path.write_bytes(content)
        answer = command("replay", root)
        assert answer.code == 2 and f"{path} is damaged: {words}" in answer.err


def test_an_account_that_can_not_be_read_hides_no_other(tmp_path: Path) -> None:
    write_note(tmp_path, 1, ValueError("it fails"))
    for rank, content in enumerate((b'{"line": "\xff"}', b"[" * 5000, b"{", b"{}"), start=2):
        (tmp_path / f"failed-{rank}.json").write_bytes(content)
    (tmp_path / "failed-9.json").mkdir()
    assert [note.rank for note in read_notes(tmp_path)] == [1]
