"""Difference target propagation, and backprop beside it (Ernoult et al., ICML 2022; dtp §1.8).

Sources: amoudgl/distributed-dtp for simple_vgg, ernoult/scalingDTP for LeNet. Their cosine is
set at the start of every epoch, ours at every step: with `--lr-every epoch` it is theirs. What is
published for each layer's feedback weights is the method's default for the network
(partition/papers.py).
"""

from collections.abc import Iterator

from runtime.recipes.words import Recipe

SGD = "--epochs 90 --momentum 0.9 --no-nesterov --weight-decay 1e-4"
TRAINING = f"{SGD} --schedule cosine --warmup 0 --period 85 --floor 1e-5 --lr-at start"
EDGE = "--augment edge --pad 4"
VGG = "--network simple_vgg"
CIFAR = f"{VGG} --batch 128 --dataset cifar10 {EDGE} {TRAINING}"
IMAGENET = f"{VGG} --dataset imagenet32 --batch 256 {EDGE} --lr 0.01"

# A tenth is held out for LeNet alone: simple_vgg's code validates on the test images.
LENET = f"--network lenet --batch 256 --val-split 0.1 {TRAINING}"
GREY = f"{EDGE} --flip on --mean 0.5 --std 0.5"  # there digits are mirrored, too
LENET_DATA = {
    "cifar10": f"--dataset cifar10 {EDGE}",
    "mnist": f"--dataset mnist {GREY}",
    "fashion-mnist": f"--dataset fashion-mnist {GREY}",
}

# Ours: digits that need no download, small enough for a laptop.
DIGITS = (
    "--network lenet --dataset digits --image-size 16 --batch 64 --lr 0.03618 --epochs 12 "
    "--momentum 0.9 --no-nesterov --weight-decay 1e-4 --schedule cosine --warmup 0"
)


def dtp() -> Iterator[Recipe]:
    """One process per layer; then the baselines."""
    yield "dtp-simplevgg-cifar10", f"dtp {CIFAR} --depth 6 --cuts single --lr 0.05"
    for rule in ("vanilla", "tp"):  # a higher rate diverges
        yield (
            f"dtp-simplevgg-cifar10-{rule}",
            f"dtp --rule {rule} {CIFAR} --depth 6 --cuts single --lr 1e-3",
        )
    yield (
        "dtp-simplevgg-imagenet32",
        f"dtp --iterations 25 35 40 60 25 {IMAGENET} --depth 6 --cuts single {TRAINING}",
    )
    # LeNet's values are published for CIFAR-10 alone; the other two datasets take them over.
    for dataset, words in LENET_DATA.items():
        yield (
            f"dtp-lenet-{dataset}",
            f"dtp --depth 4 --cuts single {words} {LENET} --lr 0.03618",
        )
    yield "dtp-lenet-digits", f"dtp --depth 4 --cuts single {DIGITS}"
    yield from _backprop()


def _backprop() -> Iterator[Recipe]:
    """The baselines of simple_vgg are published, on CIFAR-10 and ImageNet32.

    LeNet's are not: here they are what DTP's are, but for the rate, which is simple_vgg's.
    """
    yield "backprop-simplevgg-cifar10", f"backprop {CIFAR} --lr 0.05"
    yield (
        "backprop-simplevgg-imagenet32",
        f"backprop {IMAGENET} {SGD} --schedule step --milestones 30 60 --decay 0.1",
    )
    for dataset, words in LENET_DATA.items():
        yield f"backprop-lenet-{dataset}", f"backprop {words} {LENET} --lr 0.05"
    yield "backprop-lenet-digits", f"backprop {DIGITS}"
