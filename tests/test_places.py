"""A folder that a run needs is missed when it is gone, and when another stands in its place."""

from pathlib import Path

from runtime.places import Places


def test_a_folder_is_missed_even_if_another_has_its_name(tmp_path: Path) -> None:
    needed, moved = tmp_path / "run", tmp_path / "elsewhere"
    needed.mkdir()
    places = Places({"the folder above": tmp_path, "the run directory": needed})
    (needed / "more").touch()
    assert places.moved() is None
    words = f"the run directory {needed} was moved or removed while the run needed it"
    needed.rename(moved)
    assert places.moved() == words
    needed.mkdir()
    assert places.moved() == words
    needed.rmdir()
    moved.rename(needed)
    assert places.moved() is None
