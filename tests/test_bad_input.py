"""A run that can not be is refused before anything starts, with all problems and the next move."""

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from PIL import Image

from launch import main
from runtime import shortcuts
from runtime.processes import Processes
from tests.runs import launch

TINY = ("--network", "mlp", "--widths", "32", "32", "--image-size", "8", "--batch", "240")


class Refused:
    """What a command line was answered with."""

    def __init__(self, code: int, err: str) -> None:
        self.code, self.err = code, err
        self.problems = err.splitlines()


@pytest.fixture
def refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[object]:
    """Runs a command line in this process; it must not come to starting others."""

    def start(*_: object) -> NoReturn:
        raise AssertionError("processes were started")

    monkeypatch.setattr(Processes, "start", start)
    monkeypatch.setattr(shortcuts, "starts_processes", lambda words: False)  # no warming up
    monkeypatch.chdir(tmp_path)
    before = {*tmp_path.rglob("*")}

    def answer(*words: str | Path) -> Refused:
        monkeypatch.setattr(sys, "argv", ["launch.py", *map(str, words)])
        code = main()
        return Refused(code, capsys.readouterr().err)

    yield answer
    assert {*tmp_path.rglob("*")} == before, "something was written"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder dataset: a class that is missing in test/, and an image that is none."""
    root = tmp_path_factory.mktemp("pictures")
    for split, names in (("train", "ant bee cat"), ("test", "ant bee")):
        for name in names.split():
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(4):
                pixels = np.full((8, 8, 3), 16 * index, dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    (root / "train" / "bee" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return root


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """The same without the class, so that the images themselves are looked at."""
    root = tmp_path_factory.mktemp("whole")
    for split in ("train", "test"):
        (root / split).mkdir()
        for name in ("ant", "bee"):
            (root / split / name).symlink_to(pictures / split / name)
    return root


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that holds a run."""
    root = tmp_path_factory.mktemp("held") / "run"
    ended = launch("train", *TINY, "--max-steps", "1", "--debug", "--run-dir", root)
    assert ended.code == 0, ended.err
    return root


CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "groups that do not divide a width": (
        "--network resnet8 --groups 3",
        ("--groups 3 does not divide resnet8's width 16, 32, 64", "choose 1, 2, 4, 8, 16"),
    ),
    "more groups than channels": ("--network resnet8 --groups 17", ("--groups 17", "16 channels")),
    "more depth than blocks": (
        "--network resnet8 --depth 5",
        ("--depth 5: resnet8 has 4 blocks", "at most --depth 4"),
    ),
    "ragged groups of another depth": (
        "--network resnet8 --depth 3 --groups 2 1",
        ("--groups 2 1", "or 3, one per row"),
    ),
    "cuts that nobody published": (
        "--network resnet20 --depth 2 --cuts paper",
        ("no paper cuts resnet20", "use --cuts macs or even"),
    ),
    "unknown block": ("--network resnet20 --depth 2 --cuts s2b9", ("'s2b9'", "did you mean s2b")),
    "unknown dataset": ("--dataset digit", ("'digit'", "did you mean digits?")),
    "unknown network": ("--network resnet23", ("'resnet23'", "did you mean", "resnet20")),
    "unknown recipe": ("--recipe digits-2x", ("'digits-2x'", "did you mean digits-2x2?")),
    "recipe without a name": ("--recipe", ("python launch.py recipes",)),
    "missing folder": (
        "--dataset folder --data-dir /nowhere/at/all",
        ("--data-dir /nowhere/at/all does not exist", "give the folder"),
    ),
    "folder not given": ("--dataset folder", ("say where with --data-dir",)),
    "batch larger than the data set": (
        "--batch 5000",
        ("--batch 5000 is more than the 1438 training images of digits", "give 1438 or less"),
    ),
    "last batch of one": ("--batch 479", ("BatchNorm", "add --drop-last")),
    "unwritable run directory": (
        "--run-dir /proc/self/cmdline/run",
        ("/proc/self/cmdline/run can not be written", "choose another --run-dir"),
    ),
    "nothing to resume": ("--resume /nowhere", ("no run is recorded there", "name a run")),
    "backprop on a grid": (
        "backprop --depth 2",
        ("backprop trains the whole network in one module: leave out --depth, or choose",),
    ),
    "replicas of a row that needs its whole batch": (
        "dgl --network resnet8 --depth 2 --replicas 2",
        ("--replicas 2: only dtp's rows share a batch out", "choose --groups"),
    ),
    "replicas of another depth": (
        "dtp --network simple_vgg --depth 2 --replicas 1 2 3",
        ("--replicas 1 2 3: give one number for all rows, or 2",),
    ),
    "more shares than images": (
        "dtp --network simple_vgg --batch 4 --replicas 5",
        ("--replicas 5: a batch of 4 images has no more shares than that",),
    ),
    "a row of no process": (
        "dtp --network simple_vgg --replicas 0",
        ("--replicas 0: every row has at least one process",),
    ),
    "groups of targets": (
        "dtp --network simple_vgg --groups 2",
        ("a target is one for a whole layer", "leave --groups out"),
    ),
    "time of parts of blocks": (
        "gn-dgl --network resnet8 --depth 2 --groups 2 --cuts time",
        ("--cuts time measures whole blocks", "use --cuts macs"),
    ),
    "time of contexts": (
        "contsup --mode E --loss softmax --network resnet8 --depth 2 --cuts time",
        ("--cuts time: what contexts take depends on the cut", "use --cuts macs"),
    ),
    "time of what can not be cut": (
        "backprop --network resnet8 --cuts time",
        ("--cuts time: backprop can not be cut", "leave --cuts out"),
    ),
    "no window": ("--window 0", ("--window 0: at least one",)),
    "no time": ("--stall 0", ("--stall 0: must be above 0",)),
    "more threads than cores": ("--threads 4096", ("--threads 4096: this host has",)),
    "unknown mode": (
        "contsup --mode Q3 --loss softmax --network resnet8 --depth 2",
        ("unknown --mode 'Q3'", "R0", "R1E", "R4"),
    ),
    "memory longer than the grid": (
        "contsup --mode R8 --network resnet8 --depth 4",
        ("--depth 4 is not deep enough", "give --depth 8 or more"),
    ),
    "contexts in a single row": (
        "contsup --mode E --loss softmax --network resnet8",
        ("--depth 1 is not deep enough", "give --depth 2 or more"),
    ),
    "negative λ": ("infopro --depth 3 --lambdas 1 1 -1 1", ("--lambdas 1 1 -1 1", "0 or")),
    "contrast and diversity": (
        "infopro --lambdas 1 1 1 1 --depth 2 --groups 2 --diversity 0.5",
        ("--loss contrast has none", "use --loss softmax, or --diversity 0"),
    ),
    "similarity alone and diversity": (
        "predsim --head sim --diversity 0.5 --network resnet8 --depth 2 --groups 2",
        ("--head sim has none", "use --head predsim, or --diversity 0"),
    ),
    "similarity alone as the last word": (
        "predsim --head sim --tail aux --network resnet8",
        ("--tail aux with --head sim", "use --tail head"),
    ),
    "a share of nothing": ("--share maps --share-ratio 0 --groups 2", ("--share-ratio 0: above",)),
    "a share of more than all": ("--share maps --share-ratio 1.5", ("--share-ratio 1.5", "most 1")),
    "a share of less than a channel": (
        "--network resnet8 --groups 4 --share maps --share-ratio 0.05",
        ("--share-ratio 0.05 of the 16 channels that each of 4 groups has is none", "--share none"),
    ),
    "layers to copy where there are no blocks": (
        "dgl --network vgg6a --depth 2 --head layers",
        ("--head layers copies residual blocks, and vgg6a has none", "choose a ResNet"),
    ),
    "no layers to copy": (
        "dgl --network resnet8 --depth 2 --head layers --layers 0",
        ("--layers 0: copy at least one",),
    ),
    "a pyramid of nothing": (
        "dgl --network resnet8 --depth 2 --pyramid",
        ("--pyramid shapes the nets of --head layers: add that, or leave --pyramid out",),
    ),
    "reconstruction of flat features": (
        "infopro --network mlp --depth 2 --lambdas 1 1 1 1",
        ("reconstruction enlarges maps", "this network writes flat features", "choose a ResNet"),
    ),
    "λ of nothing": (
        "contsup --depth 2 --lambdas 1 1 1 1",
        ("weigh reconstruction and task", "add --reconstruct"),
    ),
    "weights that are no numbers": ("infopro --depth 2 --lambdas nan 1 1 1", ("--lambdas nan",)),
    "a part of nothing": ("gn-dgl --share none --share-ratio 0.5", ("add --share maps",)),
    "more sleep than rows": ("dgl --depth 2 --sleep 1 1 1", ("at most one number for each",)),
    "contexts of flat features": (
        "contsup --network mlp --depth 3 --mode R1 --loss softmax",
        ("contexts supplement maps", "this network writes flat features", "--mode R0"),
    ),
    "milestones of another schedule": (
        "--milestones 3",
        ("--milestones belong to --schedule step, not cosine",),
    ),
    "milestones that do not rise": (
        "--schedule step --milestones 5 3",
        ("--milestones 5 3: epochs in rising order, from 1 on",),
    ),
    "more drops than milestones": (
        "--schedule step --milestones 3 5 --decay 0.1 0.2 0.3",
        ("--decay 0.1 0.2 0.3: one number above 0, or 2, one per milestone",),
    ),
    "balanced cuts that nobody published": (
        "dgl --network resnet32 --depth 2 --cuts balanced",
        ("no paper cuts resnet32 on digits at depth 2", "use --cuts macs or even"),
    ),
    "everything is dropped": ("--dropout 1", ("--dropout 1: from 0 up to, not including, 1",)),
    "no groups of a whole": (
        "backprop --groups 2",
        ("backprop trains the whole network in one module: leave out --groups, or choose",),
    ),
    # A problem that only follows from another is not told.
    "a depth that is none": (
        "gn-dgl --network resnet8 --depth -1 --groups 2 1 --replicas 1 1 --sleep 1 1 --cuts paper",
        ("--depth -1: a grid has at least one row",),
    ),
    "a depth that is none, and contexts": (
        "contsup --network resnet8 --mode R4 --depth 0",
        ("--depth 0: a grid has at least one row",),
    ),
    "a batch that is none": ("--batch 0", ("--batch 0: give 1 or more",)),
    "more depth than blocks, and cuts of that": (
        "--network resnet8 --depth 5 --cuts paper",
        ("--depth 5: resnet8 has 4 blocks",),
    ),
    "targets through a network without mirrors": (
        "dtp --network resnet8 --replicas 2",
        ("resnet8 has none: use --network simple_vgg or lenet",),
    ),
    "noise of other layers": (
        "dtp --network lenet --noise 0.1 0.2",
        ("--noise 0.1 0.2: lenet takes 3 numbers, one for every layer but the first",),
    ),
    "iterations of other layers": (
        "dtp --network lenet --iterations 3 4",
        ("--iterations 3 4: lenet takes 3 numbers, one for every layer but the first",),
    ),
    "momentum of adam": (
        "--optimizer adam --momentum 0.5",
        ("--momentum is of sgd: leave it out, or use --optimizer sgd",),
    ),
    "more epochs than turns can be counted": (
        f"--epochs {10**18}",
        (f"--epochs {10**18}: more batches than can be counted",),
    ),
    "a window that no memory holds": (
        f"dgl --network resnet8 --depth 2 --window {10**9}",
        (f"--window {10**9}: batches under way would take up to", "give a smaller --window"),
    ),
    "a replay that no memory holds": (
        f"dgl --network resnet8 --depth 2 --replay {10**9}",
        (f"--window 4, --replay {10**9}: batches under way", "smaller --window or --replay"),
    ),
    "a weight above one": ("predsim --beta 1.5 --network resnet8", ("--beta 1.5: from 0 to 1",)),
}


@pytest.mark.parametrize("name", CASES)
def test_is_refused(name: str, refused: type[Refused]) -> None:
    words, fragments = CASES[name]
    answer = refused("train", *shlex.split(words))
    assert answer.code == 2
    (problem,) = answer.problems
    assert problem.startswith("error: ")
    assert all(fragment in problem for fragment in fragments), problem


# Several at once: the words, and of every problem that they are answered with a part.
MORE: dict[str, tuple[str, tuple[str, ...]]] = {
    "contrast of one image": (
        "infopro --depth 2 --lambdas 1 1 1 1 --batch 1",
        ("--loss contrast compares the images of a batch: --batch 2", "--batch 1: BatchNorm needs"),
    ),
    "a method, a grid and a rate": (
        "contsup --mode Q --pyramid --diversity -1 --temperature 0 --depth 9 --network resnet8 "
        "--share-ratio 0 --dropout 1 --milestones 3 --decay 0 --clip-norm 0",
        (
            *("unknown --mode 'Q'", "--pyramid", "--diversity -1", "--temperature 0", "--depth 9"),
            *("--share-ratio 0", "--dropout 1", "--milestones", "--decay 0", "--clip-norm 0"),
        ),
    ),
    "contexts that are too many, of what is flat": (
        "contsup --network mlp --widths 8 8 --depth 3 --mode R8 --loss softmax",
        ("--depth 3: mlp has 2 blocks", "--depth 3 is not deep enough"),
    ),
    "flat features, twice": (
        "contsup --network mlp --depth 3 --mode E --reconstruct --lambdas 1 1 1 1",
        ("reconstruction enlarges maps", "contexts supplement maps"),
    ),
}


@pytest.mark.parametrize("name", MORE)
def test_all_problems_are_told_at_once(name: str, refused: type[Refused]) -> None:
    words, parts = MORE[name]
    answer = refused("train", *shlex.split(words))
    assert answer.code == 2
    assert all(problem.startswith("error: ") for problem in answer.problems)
    for part in parts:
        assert [part in problem for problem in answer.problems].count(True) == 1, answer.err
    assert len(answer.problems) == len(parts), answer.err


def test_a_class_missing_in_test_is_named(refused: type[Refused], pictures: Path) -> None:
    answer = refused("train", "--dataset", "folder", "--data-dir", pictures)
    assert answer.code == 2
    assert "class cat is in train/ but not in test/: add test/cat/ or remove" in answer.err


def test_an_unreadable_image_is_named(refused: type[Refused], whole: Path) -> None:
    answer = refused("train", "--dataset", "folder", "--data-dir", whole, "--batch", "4")
    assert answer.code == 2
    (problem,) = answer.problems
    assert "train/bee/torn.png" in problem and "remove" in problem


def test_a_run_directory_that_holds_another_run_is_left_alone(
    refused: type[Refused], held: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in held.rglob("*")}
    answer = refused("train", *TINY, "--run-dir", held)
    assert answer.code == 2
    assert answer.problems == [
        f"error: {held} already holds a run: choose another --run-dir, "
        f"or go on with it: --resume {held}"
    ]
    assert before == {path: path.stat().st_mtime_ns for path in held.rglob("*")}


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ("--run-dir elsewhere", ("--run-dir elsewhere (before: --run-dir ",)),
        ("dgl", ("--method dgl (before: --method gn-dgl)",)),
        ("--seed 1 --lr 3", ("--lr 3.0 (before: no --lr)", "--seed 1 (before: --seed 0)")),
    ],
    ids=["place", "method", "two"],
)
def test_resuming_takes_no_other_settings(
    refused: type[Refused], held: Path, more: str, named: tuple[str, ...]
) -> None:
    answer = refused("train", *more.split(), "--resume", held)
    assert answer.code == 2
    (problem,) = answer.problems
    assert "takes its settings from the run it goes on with: leave out --" in problem
    assert all(words in problem for words in named), problem


def test_evaluating_nothing_is_refused(refused: type[Refused], tmp_path: Path) -> None:
    answer = refused("evaluate", tmp_path)
    assert answer.code == 2 and "name a run" in answer.err


def test_several_problems_come_in_one_go_and_nothing_was_started(tmp_path: Path) -> None:
    """The real command line: it begins to warm up a fork server while it checks."""
    (tmp_path / "file").touch()
    ended = launch(
        *("train", "gn-dgl", "--network", "resnet8", "--depth", "9", "--groups", "3"),
        *("--dataset", "folder", "--data-dir", "/nowhere", "--lr", "-1", "--temperature", "0"),
        *("--window", "0", "--eval-batch", "0", "--run-dir", tmp_path / "file" / "run"),
    )
    assert ended.code == 2 and ended.out == ""
    lines = ended.err.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    wanted = [
        *("--depth 9", "--groups 3", "--data-dir /nowhere", "--lr -1", "--temperature 0"),
        *("--window 0", "--eval-batch 0", f"{tmp_path}/file/run"),
    ]
    for words in wanted:
        assert [words in line for line in lines].count(True) == 1, f"{words}: {ended.err}"
    assert len(lines) == len(wanted)
    assert ended.seconds < 20
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# A word that is unknown is answered with the right one: what each answer must hold.
UNKNOWN: dict[str, tuple[str, ...]] = {
    "tran": ("unknown command 'tran': did you mean train?",),
    "train gndgl": ("unknown method 'gndgl': did you mean gn-dgl",),
    "train sgd": ("unknown method 'sgd'", "dgl"),
    "train dgl resnet8": ("unexpected word 'resnet8'",),
    "train --dept 2": ("unknown option --dept: did you mean --depth",),
    "train dgl --share maps": (
        "--share is an option of gn-dgl, infopro, contsup, predsim, not of",
    ),
    "train --batch-size 64": ("unknown option --batch-size: here it is called --batch",),
    "train --batch_size=64": ("unknown option --batch-size: here it is called --batch",),
    "train --learning-rate 0.1": ("unknown option --learning-rate: here it is called --lr",),
    "train --num-epochs 3": ("unknown option --num-epochs: here it is called --epochs",),
    "train --workers 4": ("unknown option --workers: here it is called --threads",),
    "plan -b 64": ("unknown option -b: here it is called --batch",),
    "train --method dgl": ("a method is a word of its own",),
    "train dgl --zzz": ("unknown option --zzz: launch.py train dgl --help-all shows all options",),
}


@pytest.mark.parametrize("words", UNKNOWN)
def test_a_word_that_is_unknown_is_answered_with_the_right_one(
    refused: type[Refused], words: str
) -> None:
    answer = refused(*words.split())
    assert answer.code == 2
    (problem,) = answer.problems
    assert all(fragment in problem for fragment in UNKNOWN[words]), problem


def test_all_unknown_words_are_told_at_once(refused: type[Refused]) -> None:
    """What stands behind an unknown option is the option's."""
    line = "train gndgl --batch-size 64 --lr 0.1 --wd=1 --milestnes 3 4"
    answer = refused(*line.split())
    assert [problem.split(":")[1].strip() for problem in answer.problems] == [
        "unknown method 'gndgl'",
        "unknown option --batch-size",
        "unknown option --wd",
        "unknown option --milestnes",
    ]


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        ("train dgl --head predsim", ("'predsim'", "'1c2f'", "'mlp-sr'", "dgl --help")),
        ("train infopro --lambdas 1 2", ("--lambdas", "expected")),
    ],
    ids=["head", "λ"],
)
def test_a_value_that_can_not_be_is_answered_with_those_that_can(
    refused: type[Refused], words: str, fragments: tuple[str, ...]
) -> None:
    answer = refused(*words.split())
    assert answer.code == 2
    assert all(fragment in answer.err for fragment in fragments), answer.err
