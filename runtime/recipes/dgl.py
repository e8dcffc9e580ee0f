"""DGL's experiments with six layers on CIFAR-10 (Belilovsky et al., ICML 2020; eugenium/DGL)."""

from collections.abc import Iterator

from runtime.recipes.words import Recipe

SIX_LAYERS = (
    "--tail mlp --network cnn6 --depth 6 --cuts even --dataset cifar10 --batch 128 --augment zero "
    "--pad 4 --mean 0.4914 0.4822 0.4465 --std 0.2023 0.1994 0.2010 --epochs 50 --lr 0.1 "
    "--no-nesterov --weight-decay 5e-4 --schedule step --milestones 15 30 45 --decay 0.2"
)


def auxiliary_nets() -> Iterator[Recipe]:
    """auxiliary_nets_study, `cifar_dgl.py --type_aux …` (spec §4.1)."""
    for head in ("mlp", "mlp-sr", "cnn"):
        yield f"dgl-cnn6-cifar10-{head}", f"dgl --head {head} {SIX_LAYERS}"


def replay() -> Iterator[Recipe]:
    """buffer_experiments, `cifar_buffer.py --buffer …` (spec §4.2).

    There a simulator slows one layer down (--noise, --layer_noise); here time itself does.
    """
    for batches in (10, 30):
        yield (
            f"dgl-cnn6-cifar10-replay{batches}",
            f"dgl --head mlp --replay {batches} --drop-last {SIX_LAYERS}",
        )
