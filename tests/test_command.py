"""`loci`, which the editable install provides, is launch.py from any folder."""

import sys
from pathlib import Path

from tests.runs import launch

LOCI = (str(Path(sys.executable).with_name("loci")),)


def test_the_command_works_from_any_folder_whatever_lies_there(tmp_path: Path) -> None:
    """Its processes, too, take Loci's own packages, not those of the folder they start in."""
    for room in ("comm", "partition", "workers", "runtime", "launch", "torch"):
        (tmp_path / f"{room}.py").write_text("raise SystemExit('the wrong one')")
    words = "train backprop --network mlp --widths 8 8 --image-size 8 --max-steps 2 --run-dir run"
    ended = launch(*words.split(), program=LOCI, cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert "finished" in ended.out
    shown = launch("evaluate", "run", program=LOCI, cwd=tmp_path)
    assert shown.code == 0 and "(step 2)" in shown.out, shown.err
    assert launch("train", "--batch", "0", program=LOCI, cwd=tmp_path).code == 2
