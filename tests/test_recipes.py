"""Recipes: each can be planned, one of each family is trained, and no project's line is missing.

The projects' own command lines are written down here a second time, as parameters, apart from what
makes the recipes.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import product
from types import SimpleNamespace

import pytest
import torch
import tyro

from comm.errors import BadInput
from partition.data_spec import DataSpec
from partition.planner import plan
from runtime import ready
from runtime.config import Config
from runtime.opening import settled
from runtime.recipes import FAMILIES, RECIPES, expanded, listing
from tests.grids import BATCH, CLASSES, EVAL, IMAGE, Notebook, job_of, lockstep, states
from workers.data.config import DataConfig
from workers.grid import hire
from workers.methods import METHODS
from workers.methods.backprop import Backprop
from workers.methods.contsup import ContSup
from workers.methods.dgl import DGL
from workers.methods.dtp import DTP
from workers.methods.gn_dgl import GNDGL
from workers.methods.infopro import InfoPro
from workers.methods.method import Method
from workers.methods.predsim import PredSim
from workers.optim import OptimConfig

# Name: (shape, classes, training images, test images).
DATA = {
    "cifar10": ((3, 32, 32), 10, 50_000, 10_000),
    "cifar100": ((3, 32, 32), 100, 50_000, 10_000),
    "imagenet32": ((3, 32, 32), 1000, 1_281_167, 50_000),
    "stl10": ((3, 96, 96), 10, 5_000, 8_000),
    "svhn": ((3, 32, 32), 10, 73_257, 26_032),
    "mnist": ((1, 28, 28), 10, 60_000, 10_000),
    "fashion-mnist": ((1, 28, 28), 10, 60_000, 10_000),
    "digits": ((1, 32, 32), 10, 1_438, 359),
}


def parsed(line: str) -> Config:
    """What the command line of `train` makes of these words."""
    return tyro.cli(
        Config,
        args=line.split(),
        config=(
            tyro.conf.CascadeSubcommandArgs,
            tyro.conf.OmitArgPrefixes,
            tyro.conf.FlagCreatePairsOff,
            tyro.conf.DisallowNone,
        ),
    )


@cache
def recipe(name: str) -> Config:
    """A recipe, with what its grid and dataset decide."""
    config = parsed(RECIPES[name])
    return replace(config, method=config.method.settled(config.grid, config.data))


def overridden(line: str) -> Config:
    """A recipe with other words beside it."""
    command, *words = expanded(["train", *line.split()])
    assert command == "train"
    return parsed(" ".join(words))


def spec(dataset: str) -> DataSpec:
    shape, classes, train, test = DATA[dataset]
    return DataSpec(name=dataset, shape=shape, classes=classes, train=train, test=test, digest="00")


@pytest.fixture
def without_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Datasets are known by their shape alone."""
    monkeypatch.setattr(ready, "prepare", lambda data: data.dataset)
    monkeypatch.setattr(ready, "Prepared", lambda name: SimpleNamespace(spec=spec(name)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.usefixtures("without_files")
def test_every_recipe_can_be_planned(family: str) -> None:
    problems: dict[str, list[str]] = {}
    for name, _ in FAMILIES[family]():
        try:
            drawn = ready.make_ready(settled(recipe(name))).plan
        except BadInput as error:
            problems[name] = error.problems
        else:
            assert drawn.grid.depth == recipe(name).grid.depth
    assert problems == {}


@pytest.mark.usefixtures("without_files")
def test_a_recipe_that_can_not_be_planned_would_be_noticed() -> None:
    with pytest.raises(BadInput) as error:
        ready.make_ready(settled(overridden("--recipe digits-2x2 --cuts paper --batch 4000")))
    batch, cuts = error.value.problems
    assert "--batch 4000 is more" in batch and "no paper cuts" in cuts


TRAINED = (
    "digits-2x2",
    "gn-dgl-resnet32-cifar10-k4-g2",
    "single-thread-resnet32x2-cifar100-g4",
    "dgl-resnet32-imagenet32-k4",
    "predsim-vgg6a-cifar10-g6-maps-diversity",
    "backprop-resnet32-cifar10",
    "infopro-resnet110-stl10-k3-balanced",
    "contsup-resnet32-cifar10-k16-r1e-softmax",
    "contsup-resnet32-cifar10-k8-r4-softmax",
    "contsup-resnet110-svhn-k2-r1e-contrast-decoder",
    "dgl-cnn6-cifar10-mlp-sr",
    "dgl-cnn6-cifar10-replay10",
    "auglocal-resnet32-cifar10-d2",
    "dtp-lenet-cifar10",
)


def test_a_recipe_of_every_family_and_every_method_that_has_one_is_trained() -> None:
    assert all(set(TRAINED) & dict(make()).keys() for make in FAMILIES.values())
    methods = {line.split()[0] for line in RECIPES.values()}
    assert {RECIPES[name].split()[0] for name in TRAINED} == methods


@pytest.mark.parametrize("name", TRAINED)
def test_two_steps_on_random_images_move_every_module(name: str) -> None:
    config = recipe(name)
    data = DataSpec(
        name=config.data.dataset, shape=IMAGE, classes=CLASSES, train=22, test=7, digest="00"
    )
    request = replace(ready.request(config, data), batch=BATCH, eval_batch=EVAL, dtype="float32")
    job = job_of(plan(request), config.method, steps=2, optim=config.optim)
    fresh = hire(job, {address: Notebook() for address in job.plan.grid})
    before = states({worker.address: worker for worker in fresh})
    workers, notebooks = lockstep(job)
    after = states(workers)
    for address, notebook in notebooks.items():
        assert len(notebook.lessons) == 2
        assert all(math.isfinite(x) for values in notebook.lessons for x in values.values())
        old, new = before[str(address)], after[str(address)]
        assert any(not torch.equal(old[key], new[key]) for key in old if "bn" not in key), address


def test_names_are_unique_and_of_one_form() -> None:
    names = [name for make in FAMILIES.values() for name, _ in make()]
    assert len(names) == len(RECIPES)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name) for name in names)
    assert all(line.split()[0] in METHODS for line in RECIPES.values())
    assert len({tuple(line.split()) for line in RECIPES.values()}) == len(RECIPES)


# GN-DGL: --local_module_num → --groups, and what of its code's switches the folders set.
LOOP = {"1A": (1, 2, 4, 8), "2": (1, 2, 4, 8), "4": (1, 2, 4, 8), "8": (1, 2, 4), "16": (1, 2)}
WIDE_LIST = {"16,16,32,64": "resnet32", "32,32,64,128": "resnet32x2"}
NEURON_GROUPS = GNDGL(share="maps", diversity=0.5, temperature=3.0, tail="head")
THREADS = GNDGL(share="none", diversity=0.0, tail="aux")

# InfoPro: dataset, layers, K (* is --balanced_memory), and --ixx_1 --ixy_1 --ixx_2 --ixy_2.
INFOPRO = """
cifar10 32 2 5 1 0 0        | cifar10 32 4 6 0 1 2       | cifar10 32 8 5 0 0 2
cifar10 32 16 5 0.05 0.2 0.5
cifar10 110 2 5 0.5 0 0     | cifar10 110 4 1 0 0 1      | cifar10 110 8 5 0 0 1
cifar10 110 16 5 0 0.5 1
cifar10 110 2* 5 0.1 0 0    | cifar10 110 3* 5 0 5 0.1   | cifar10 110 4* 5 0 5 0.1
stl10 110 2 10 1 0 0        | stl10 110 4 20 0.2 5 2     | stl10 110 8 20 0.2 5 1
stl10 110 16 20 0.5 10 0.1
stl10 110 2* 20 1 0 0       | stl10 110 3* 20 0.5 5 2    | stl10 110 4* 20 0.5 10 1
svhn 110 2 1 0.1 0 0        | svhn 110 4 5 0 0.5 1       | svhn 110 8 5 0 0.5 2
svhn 110 16 5 0.2 0.5 1
"""

# ContSup: dataset, layers, --local_loss_mode (+ is --h_reconstruct), --context_mode, K (*: as
# above). The four lines of ResNet-32 that forget the flag stand here as they are meant.
CONTSUP = """
cifar10 32 cross_entropy R0,E,R1,R1E 2,4,8,16    | cifar10 32 cross_entropy+ R0,E,R1,R1E 2,4,8,16
cifar10 32 contrast E,R1,R1E 2,4,8,16            | cifar10 32 cross_entropy R2,R4,R8 8,16
cifar10 32 cross_entropy R16 16                  | cifar10 32 contrast E 2*,4*,8*,16*
cifar10 110 cross_entropy+ R1E 2,4,8,16          | cifar10 110 contrast+ R1E 2,4,8,16
stl10 110 cross_entropy+ R1E 2,4,8,16            | stl10 110 contrast+ R1E 2,4,8,16
svhn 110 cross_entropy+ R1E 2,4,8,16             | svhn 110 contrast+ R1E 2,4,8,16
cifar10 110 contrast E 2*,3*,4*
"""

Line = tuple[str, Method, str, int, int, str, str]  # name, method, network, K, G, dataset, cuts


def neuron_groups() -> Iterator[Line]:
    for wide, dataset, key in product(WIDE_LIST, ("cifar10", "cifar100", "imagenet32"), LOOP):
        net, depth = WIDE_LIST[wide], int(key.strip("A"))
        for groups in LOOP[key]:
            name = f"gn-dgl-{net}-{dataset}-k{depth}-g{groups}"
            yield name, NEURON_GROUPS, net, depth, groups, dataset, "paper"
        for groups in (2, 4, 8) * (key == "1A"):
            name = f"single-thread-{net}-{dataset}-g{groups}"
            yield name, THREADS, net, 1, groups, dataset, "macs"
        if depth > 1:
            name = f"dgl-{net}-{dataset}-k{depth}"
            yield name, DGL(tail="fc"), net, depth, 1, dataset, "paper"
        else:
            yield f"backprop-{net}-{dataset}", Backprop(), net, 1, 1, dataset, "macs"


def infopro() -> Iterator[Line]:
    for line in re.split(r"[|\n]", INFOPRO.strip()):
        dataset, layers, key, *weights = line.split()
        depth, balanced = key.strip("*"), "*" in key
        a1, a2, b1, b2 = map(float, weights)
        yield (
            f"infopro-resnet{layers}-{dataset}-k{depth}" + "-balanced" * balanced,
            InfoPro(loss="contrast", lambdas=(a1, a2, b1, b2)),
            f"resnet{layers}",
            int(depth),
            1,
            dataset,
            "balanced" if balanced else "paper",
        )


def contsup() -> Iterator[Line]:
    weights = {
        (net, data, k): rule.lambdas
        for _, rule, net, k, _, data, cuts in infopro()
        if cuts == "paper" and isinstance(rule, InfoPro)
    }
    for line in re.split(r"[|\n]", CONTSUP.strip()):
        dataset, layers, task, modes, depths = line.split()
        loss, decoder = "contrast" if "contrast" in task else "softmax", "+" in task
        for mode, key in product(modes.split(","), depths.split(",")):
            net, depth, balanced = f"resnet{layers}", int(key.strip("*")), "*" in key
            name = f"contsup-{net}-{dataset}-k{depth}-{mode.lower()}-{loss}"
            name += "-decoder" * decoder + "-balanced" * balanced
            lambdas = weights[net, dataset, depth] if decoder else None
            rule = ContSup(mode=mode, loss=loss, reconstruct=decoder, lambdas=lambdas)
            yield name, rule, net, depth, 1, dataset, "balanced" if balanced else "paper"


LINES = {"GN-DGL": [*neuron_groups()], "InfoPro": [*infopro()], "ContSup": [*contsup()]}


def test_the_projects_have_as_many_lines_as_their_files() -> None:
    lines = [name for project in LINES.values() for name, *_ in project]
    assert len(lines) == len(set(lines))
    # 51 runs of the loop at two widths, 18 of single_thread; for each width and dataset the tables'
    # four DGL runs and one end to end. ContSup's file has 78, and four that are meant.
    assert [len(LINES[p]) for p in LINES] == [2 * 51 + 18 + 6 * 4 + 6, 22, 78 + 4]


@pytest.mark.parametrize("project", LINES)
def test_every_line_of_a_project_has_its_recipe(project: str) -> None:
    for name, method, net, depth, groups, dataset, cuts in LINES[project]:
        assert name in RECIPES
        config = recipe(name)
        assert config.method == method, name
        grid, data, optim = config.grid, config.data, config.optim
        assert (grid.network, grid.depth, grid.groups) == (net, depth, (groups,)), name
        assert (grid.cuts, data.dataset) == ((cuts,), dataset), name
        assert (data.batch, optim.lr) == ((128, 0.1) if dataset == "stl10" else (1024, 0.8)), name
        usual = OptimConfig(epochs=160, lr=optim.lr, lr_every="epoch", weight_decay=1e-4)
        assert optim == usual, name
        assert data == DataConfig(dataset=dataset, batch=data.batch), name


def test_auglocal_has_a_row_for_each_layer_but_those_that_are_copied() -> None:
    for layers, blocks, depth in product((32, 110), (16, 55), (1, 2, 3, 5)):
        if (layers, blocks) in ((32, 16), (110, 55)):
            config = recipe(f"auglocal-resnet{layers}-cifar10-d{depth}")
            assert config.method == DGL(head="layers", layers=depth, pyramid=True, tail="fc")
            assert (config.grid.depth, config.grid.cuts) == (blocks - depth, ("single",))
            assert (config.optim.epochs, config.optim.warmup, config.data.batch) == (400, 10, 1024)


# DTP (dtp §1.8): dataset, network, batch, lr of DTP and of backprop, --mean and --std if not the
# dataset's own; LeNet holds a tenth out. All: edge, pad 4, flips.
TARGETS = """
cifar10    simple_vgg 128 0.05    0.05    | cifar10       lenet 256 0.03618 0.05
imagenet32 simple_vgg 256 0.01    0.01    | mnist         lenet 256 0.03618 0.05 0.5
                                            fashion-mnist lenet 256 0.03618 0.05 0.5
"""
SIMPLE_VGG = DTP(
    beta=0.7,
    iterations=(20, 30, 35, 55, 20),
    noise=(0.4, 0.4, 0.2, 0.2, 0.08),
    feedback_lr=(1e-4, 3.5e-4, 8e-3, 8e-3, 0.18),
)
LENET = DTP(
    beta=0.4655,
    iterations=(41, 51, 24),
    noise=(0.41640, 0.38263, 0.13954),
    feedback_lr=(7.188e-4, 1.251e-4, 3.5415e-2),
)


def test_dtp_and_its_baselines_train_as_published() -> None:
    lines = [line.split() for line in re.split(r"[|\n]", TARGETS.strip())]
    expected = {"dtp-simplevgg-cifar10-vanilla", "dtp-simplevgg-cifar10-tp"}
    for dataset, network, batch, rate, baseline, *moments in lines:
        vgg = network == "simple_vgg"
        name = f"{network.replace('_', '')}-{dataset}"
        expected |= {f"dtp-{name}", f"backprop-{name}"}
        rule, plain = recipe(f"dtp-{name}"), recipe(f"backprop-{name}")
        assert (rule.grid.network, plain.grid.network) == (network, network), name
        assert (rule.grid.depth, rule.grid.cuts) == (6 if vgg else 4, ("single",)), name
        assert (plain.grid.depth, plain.method) == (1, Backprop()), name
        many = (25, 35, 40, 60, 25) if dataset == "imagenet32" else SIMPLE_VGG.iterations
        assert rule.method == (replace(SIMPLE_VGG, iterations=many) if vgg else LENET), name
        assert rule.data == plain.data, name
        grey = tuple(map(float, moments)) or None
        assert rule.data == DataConfig(
            dataset=dataset,
            batch=int(batch),
            val_split=0.0 if vgg else 0.1,
            augment="edge",
            pad=4,
            flip="on" if grey else "auto",  # which is on for the others
            mean=grey,
            std=grey,
        )
        sgd = OptimConfig(epochs=90, lr=float(rate), nesterov=False, weight_decay=1e-4)
        wave = replace(sgd, warmup=0, period=85, floor=1e-5, lr_at="start")
        assert rule.optim == wave, name
        drops = replace(sgd, schedule="step", milestones=(30, 60), decay=(0.1,))
        own = drops if dataset == "imagenet32" else wave
        assert plain.optim == replace(own, lr=float(baseline)), name
    expected |= {"dtp-lenet-digits", "backprop-lenet-digits"}
    assert {name for name in RECIPES if re.search("^dtp|simplevgg|lenet", name)} == expected
    mine, plain = recipe("dtp-lenet-digits"), recipe("backprop-lenet-digits")
    assert (mine.method, mine.data, mine.optim) == (LENET, plain.data, plain.optim)
    for rule in ("vanilla", "tp"):
        other, first = recipe(f"dtp-simplevgg-cifar10-{rule}"), recipe("dtp-simplevgg-cifar10")
        assert other.method == replace(SIMPLE_VGG, rule=rule)
        assert other.data == first.data
        assert other.optim == replace(first.optim, lr=1e-3)


def test_layer_wise_groups_are_g_2g_g() -> None:
    for groups in (2, 4, 6, 8, 10):
        config = recipe(f"predsim-vgg6a-cifar10-g{groups}")
        assert config.grid.groups == (groups, 2 * groups, groups, 1, 1)
        assert config.method == PredSim()
    assert recipe("predsim-vgg6a-cifar10-g1").grid.groups_per_row == (1, 1, 1, 1, 1)


def test_every_word_of_a_recipe_can_be_replaced() -> None:
    name = "gn-dgl-resnet32-cifar10-k4-g2"
    config, other = recipe(name), overridden(f"--recipe {name} --epochs 1 --groups 1 2 4 1")
    assert (other.optim.epochs, other.grid.groups) == (1, (1, 2, 4, 1))
    same = replace(
        other,
        optim=replace(other.optim, epochs=config.optim.epochs),
        grid=replace(other.grid, groups=config.grid.groups),
    )
    assert same == config


def test_a_word_of_a_recipe_can_be_left_out() -> None:
    words = "--no-pyramid --no-warmup --head 1c2f"
    config = overridden(f"--recipe auglocal-resnet32-cifar10-d2 {words}")
    assert config.method == DGL(layers=2)
    assert config.optim.warmup is None
    words = "--nesterov --no-mean --no-std --schedule cosine --no-milestones --no-decay"
    config = overridden(f"--recipe dgl-cnn6-cifar10-cnn {words}")
    assert config.optim.nesterov and config.optim.milestones is None
    assert config.data.mean is None and not list(config.optim.problems())
    assert not overridden("--recipe backprop-resnet32-cifar10 --no-nesterov").optim.nesterov


def test_the_listing_shows_every_name_once_and_searches_them() -> None:
    lines = [line.strip() for line in listing().splitlines()]
    assert [line for line in lines if line in RECIPES] == list(RECIPES)
    found = listing(("contsup", "k16", "r1e-softmax"))
    names = [line.strip() for line in found.splitlines() if line.strip() in RECIPES]
    assert names == [n for n in RECIPES if "contsup" in n and "k16" in n and "r1e-softmax" in n]
    assert "-k16-" not in listing(("k1",)) and "-x2-" not in listing(("vgg6a-cifar10", "g6"))
    assert listing(("vgg",)).count("vgg6a-cifar10-g6\n") == 1
    assert all(RECIPES[name] in found for name in names)
    assert not any(heading in found for heading in FAMILIES if not heading.startswith("ContSup"))
    with pytest.raises(BadInput, match="no recipe's name has k5 in it"):
        listing(("k5",))
