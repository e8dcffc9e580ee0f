"""Difference target propagation (Ernoult et al., ICML 2022; amoudgl/distributed-dtp; dtp §1.8)."""

from collections.abc import Iterator

from runtime.recipes.words import Recipe

TRAINING = (
    "--epochs 90 --momentum 0.9 --no-nesterov --weight-decay 1e-4 --schedule cosine --warmup 0 "
    "--period 85 --floor 1e-5"
)
CIFAR = f"--dataset cifar10 --augment edge --pad 4 {TRAINING}"
VGG = f"--network simple_vgg --batch 128 {CIFAR}"


def dtp() -> Iterator[Recipe]:
    """One process per layer. Their cosine is followed epoch by epoch, ours at every step."""
    yield "dtp-simplevgg-cifar10", f"dtp {VGG} --depth 6 --cuts single --lr 0.05"
    for rule in ("vanilla", "tp"):  # a higher rate diverges
        yield (
            f"dtp-simplevgg-cifar10-{rule}",
            f"dtp --rule {rule} {VGG} --depth 6 --cuts single --lr 1e-3",
        )
    yield (
        "dtp-simplevgg-imagenet32",
        "dtp --iterations 25 35 40 60 25 --network simple_vgg --depth 6 --cuts single "
        f"--dataset imagenet32 --batch 256 --augment edge --pad 4 --lr 0.01 {TRAINING}",
    )
    yield (
        "dtp-lenet-cifar10",
        "dtp --beta 0.4655 --iterations 41 51 24 --noise 0.41640 0.38263 0.13954 "
        "--feedback-lr 7.188e-4 1.251e-4 3.5415e-2 --network lenet --depth 4 --cuts single "
        f"--batch 256 --lr 0.03618 {CIFAR}",
    )
    yield "backprop-simplevgg-cifar10", f"backprop {VGG} --lr 0.05"
