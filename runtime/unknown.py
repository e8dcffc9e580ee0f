"""What an unknown word of a command line may have meant."""

from collections.abc import Iterable, Iterator
from dataclasses import fields

from partition.config import GridConfig
from partition.nearest import nearest
from runtime.config import RunConfig, flag
from workers.data.config import DataConfig
from workers.methods import METHODS
from workers.optim import OptimConfig

# What others call our options.
FOREIGN = {
    foreign: ours
    for ours, foreigns in {
        "--batch": "--batch-size --bs --train-batch-size --train-batch -b",
        "--eval-batch": "--eval-batch-size --test-batch-size --test-batch --val-batch-size",
        "--lr": "--learning-rate --base-lr --max-lr --lr-rate --rate",
        "--epochs": "--num-epochs --n-epochs --max-epochs --epoch --num-train-epochs",
        "--max-steps": "--num-steps --steps --max-iters --max-iter --iters --num-iterations",
        "--threads": "--workers --num-workers --n-workers --nworkers --num-threads -j",
        "--network": "--model --arch --architecture --net --backbone -a",
        "--dataset": "--data-set --datamodule --task",
        "--data-dir": "--data --data-path --data-root --dataset-path --root --dataroot --datadir",
        "--run-dir": "--output --output-dir --out --out-dir --save-dir --log-dir --logdir",
        "--resume": "--checkpoint --ckpt --resume-from --restore --load",
        "--device": "--gpu --gpus --cuda --no-cuda --use-cuda --cpu --accelerator",
        "--optimizer": "--opt --optim --optimiser",
        "--weight-decay": "--wd --l2 --weightdecay",
        "--schedule": "--scheduler --lr-scheduler --lr-schedule --sched",
        "--decay": "--gamma --lr-decay --lr-gamma --decay-rate",
        "--milestones": "--lr-milestones --step-size --lr-steps --lr-step-size --decay-epochs",
        "--warmup": "--warmup-epochs --warm-up --lr-warmup-epochs",
        "--floor": "--min-lr --eta-min --lr-min",
        "--clip-norm": "--clip --grad-clip --clip-grad --clip-grad-norm --max-grad-norm",
        "--image-size": "--img-size --input-size --resolution --image-shape",
        "--val-split": "--validation-split --val-fraction --val-ratio",
        "--augment": "--aug --augmentation --data-augmentation",
        "--eval-every": "--eval-freq --eval-interval --eval-period --val-every --test-every",
        "--save-every": "--save-freq --save-interval --checkpoint-every --save-period",
        "--depth": "--local-module-num --num-modules --num-blocks --k --stages",
        "--groups": "--num-groups --n-groups --group --g",
        "--stall": "--timeout --time-out",
        "--seed": "--random-seed --manual-seed",
    }.items()
    for foreign in foreigns.split()
}


def options_of(kind: type) -> list[str]:
    """The options that a dataclass's fields are on the command line."""
    names = [(option.name, option.default is True) for option in fields(kind)]
    return [flag(f"no_{name}" if turned_off else name) for name, turned_off in names]


SHARED = [
    name for part in (GridConfig, DataConfig, OptimConfig, RunConfig) for name in options_of(part)
]


def unknown_words(words: Iterable[str], method: str | None) -> Iterator[str]:
    """A sentence for each word that nothing takes, but for those behind an unknown option.

    `method` is the one that was named, if one was.
    """
    behind = False
    for word in words:
        if word.startswith("-"):
            behind = "=" not in word
            yield _option(word.partition("=")[0].replace("_", "-"), method)
        elif not behind and method is None:
            yield f"unknown method {word!r}{nearest(word, METHODS)}"
        elif not behind:
            yield f"unexpected word {word!r}: leave it out, or name the option it belongs to"


def _option(name: str, method: str | None) -> str:
    own = options_of(METHODS[method or "gn-dgl"])
    others = [other for other, kind in METHODS.items() if name in options_of(kind)]
    if others:
        return (
            f"{name} is an option of {', '.join(others)}, not of {method or 'gn-dgl'}: leave it out"
        )
    if name == "--method":
        return "--method: a method is a word of its own, as in: train dgl"
    if name in FOREIGN:
        return f"unknown option {name}: here it is called {FOREIGN[name]}"
    known = nearest(name, [*SHARED, *own])
    shown = f": launch.py train {method or 'METHOD'} --help-all shows all options"
    return f"unknown option {name}{known if 'did you mean' in known else shown}"
