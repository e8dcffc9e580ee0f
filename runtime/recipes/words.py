"""What the projects' command lines have in common."""

Recipe = tuple[str, str]  # name, command line


def training(dataset: str) -> str:
    """How GN-DGL, InfoPro and ContSup train (spec §1.6): the code's rates, not those of the texts.

    On STL-10 they begin the warm-up at a rate of 0.01, we at an eightieth of the peak.
    """
    batch, lr = ("128", "0.1") if dataset == "stl10" else ("1024", "0.8")
    return f"--dataset {dataset} --batch {batch} --epochs 160 --lr {lr} --lr-every epoch"
