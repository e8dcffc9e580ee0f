"""What the command line says of itself: help, lists, version; and to whoever stops reading it."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from launch import main
from runtime import shortcuts
from runtime.unknown import FOREIGN, SHARED, options_of
from tests.runs import LAUNCH, ROOT, launch
from workers.methods import METHODS

SCREEN = 48  # lines


@pytest.fixture
def told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], str]:
    """Runs a command line in this process; what it prints, on a terminal of 80 columns."""
    monkeypatch.setattr(shortcuts, "starts_processes", lambda words: False)
    monkeypatch.setenv("COLUMNS", "80")

    def tell(words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["launch.py", *words.split()])
        assert main() == 0
        return capsys.readouterr().out

    return tell


def options(text: str) -> set[str]:
    """The options that a help explains."""
    return {*re.findall(r"^\W? ?(--[a-z][a-z-]*)", text, flags=re.MULTILINE)}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_explains_itself_in_two_screens(told: Callable[[str], str], method: str) -> None:
    text = told(f"train {method} --help")
    assert len(text.splitlines()) <= 2 * SCREEN
    assert max(map(len, text.splitlines())) <= 100
    assert "default: None" not in text and "default: )" not in text
    for group in ("grid", "data", "optim", "run"):
        assert f"{group} options" in text
    assert {"--depth", "--network", "--dataset", "--lr", "--epochs", "--run-dir"} <= options(text)
    assert not {"--slope", "--floor", "--sleep"} & options(text)
    assert f"launch.py train {method} --help-all" in text


@pytest.mark.parametrize("method", METHODS)
def test_all_options_are_explained_if_asked(told: Callable[[str], str], method: str) -> None:
    text = told(f"train {method} --help-all")
    assert options(text) == {*SHARED, *options_of(METHODS[method])}
    assert "default: None" not in text and "default: )" not in text


def test_train_lists_its_methods_with_a_line_each(told: Callable[[str], str]) -> None:
    text = told("train --help")
    assert [*re.findall(r"• ([a-z-]+)", text)] == [*METHODS]
    assert options(text) == {"--recipe"}
    assert len(text.splitlines()) < SCREEN


def test_options_that_the_short_help_leaves_out_can_be_given(told: Callable[[str], str]) -> None:
    assert "window 4" in told("plan dgl --network resnet8 --floor 0.01 --clip-norm 1")


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("methods", [*METHODS]),
        ("networks", ["mlp", "resnet32", "simple_vgg", "cnn6"]),
        ("datasets", ["digits", "cifar10", "folder", "imagenet32"]),
    ],
)
def test_there_is_a_list_with_a_line_each(
    told: Callable[[str], str], kind: str, names: list[str]
) -> None:
    lines = dict(line.split(maxsplit=1) for line in told(f"list {kind}").splitlines())
    assert {*names} <= {*lines}
    assert all(len(line) > 10 for line in lines.values())


def test_the_version_is_that_of_the_clone(told: Callable[[str], str]) -> None:
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert told("--version").startswith(f"loci {version[1]} (torch 2.")


def test_what_others_call_our_options_leads_to_options_that_there_are() -> None:
    every = {*SHARED, *(name for kind in METHODS.values() for name in options_of(kind))}
    assert {*FOREIGN.values()} <= every
    assert not {*FOREIGN} & every


@pytest.mark.parametrize(
    "words", [["train", "dgl", "--help-all"], ["recipes"], ["list", "methods"]]
)
def test_who_stops_reading_sees_no_traceback(words: list[str]) -> None:
    """As `launch.py recipes | head` does: the pipe is closed before anything is written."""
    process = subprocess.Popen(
        [*LAUNCH, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) != 0
    assert err == ""


@pytest.mark.parametrize("words", ["train infopro --help-all", "plan infopro --depth 3", "recipes"])
def test_a_terminal_without_our_letters_is_shown_others(words: str) -> None:
    ended = launch(*words.split(), PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert ended.code == 0, ended.err
    assert ended.err == "" and ended.out.isascii()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_planned_with_its_defaults(
    told: Callable[[str], str], method: str
) -> None:
    network = "simple_vgg" if method == "dtp" else "resnet32"
    assert f"{method}: {network} on digits" in told(f"plan {method}")


@pytest.mark.parametrize("words", ["dtp --network lenet", "infopro --depth 2", "contsup"])
def test_defaults_train(words: str, tmp_path: Path) -> None:
    """With what depends on the network, the dataset and the depth left to the method."""
    few = (
        "--image-size",
        "16",
        "--batch",
        "4",
        "--max-steps",
        "1",
        "--eval-every",
        "0",
        "--debug",
        "--run-dir",
        "run",
    )
    ended = launch("train", *words.split(), *few, cwd=tmp_path)
    assert ended.code == 0, ended.err
    noted = "λ 5 1 0 0: nobody published any for resnet32 on digits at depth 2" in ended.out
    assert noted == words.startswith("infopro")
