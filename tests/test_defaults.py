"""What a method chooses where nothing is given, by network, dataset and depth."""

import pytest

from partition.config import GridConfig
from partition.networks import NETWORKS, network
from partition.networks.block import Style
from partition.papers import FEEDBACK, LAMBDAS
from runtime.config import Config
from runtime.opening import settled
from workers.data.config import DataConfig
from workers.methods.contsup import ContSup
from workers.methods.dtp import DTP
from workers.methods.infopro import InfoPro

DIGITS, CIFAR = DataConfig(), DataConfig(dataset="cifar10")


def test_every_network_with_mirrors_has_values_for_all_layers_but_the_first() -> None:
    networks = {name: network(name, None, (3, 32, 32), Style(), 10) for name in NETWORKS}
    assert {*FEEDBACK} == {name for name, net in networks.items() if net.classifies}
    for name, published in FEEDBACK.items():
        layers = len(networks[name].blocks) - 1
        assert [len(values) for values in published[1:]] == [layers] * 3


@pytest.mark.parametrize("name", FEEDBACK)
def test_dtp_follows_its_network_but_for_what_is_given(name: str) -> None:
    grid, published = GridConfig(network=name), FEEDBACK[name]
    assert DTP().settled(grid, DIGITS).feedback == published
    given = DTP(beta=0.7, noise=(0.5,) * len(published.noise)).settled(grid, DIGITS)
    assert (given.beta, given.noise) == (0.7, (0.5,) * len(published.noise))
    assert (given.iterations, given.feedback_lr) == (published.iterations, published.lr)


def test_a_network_that_is_not_named_is_the_methods() -> None:
    assert settled(Config(method=DTP())).grid.network == "simple_vgg"
    assert settled(Config(method=InfoPro())).grid.network == "resnet32"
    named = settled(Config(method=DTP(), grid=GridConfig(network="lenet")))
    assert (named.grid.network, named.method) == (
        "lenet",
        DTP().settled(GridConfig(network="lenet"), DIGITS),
    )


def test_contsup_reads_what_there_is_to_read() -> None:
    modes = [
        ContSup(mode=mode).settled(GridConfig(network="resnet32", depth=depth), DIGITS).mode
        for mode in ("auto", "E")
        for depth in (1, 2)
    ]
    assert modes == ["R0", "R1E", "E", "E"]


@pytest.mark.parametrize(
    ("name", "data", "depth", "whose"),
    [
        ("resnet32", CIFAR, 4, ("resnet32", 4)),
        ("resnet110", CIFAR, 16, ("resnet110", 16)),
        ("resnet32", CIFAR, 3, ("resnet32", 2)),
        ("resnet32", DIGITS, 9, ("resnet32", 8)),
        ("resnet110", DIGITS, 20, ("resnet110", 16)),
        ("resnet20", CIFAR, 2, ("resnet32", 2)),
    ],
)
def test_infopro_takes_the_nearest_weights_and_says_so(
    name: str, data: DataConfig, depth: int, whose: tuple[str, int]
) -> None:
    grid = GridConfig(network=name, depth=depth)
    method = InfoPro().settled(grid, data)
    network, at = whose
    assert method.lambdas == LAMBDAS[network, "cifar10"][at]
    notes = [*method.notes(grid, data)]
    if (name, data, depth) == (network, CIFAR, at):
        assert notes == []
    else:
        (note,) = notes
        assert f"nobody published any for {name} on {data.dataset} at depth {depth}" in note
        assert f"those of {network} on cifar10 at depth {at}" in note
    own = InfoPro(lambdas=(1, 2, 3, 4)).settled(grid, data)
    assert own.lambdas == (1, 2, 3, 4) and [*own.notes(grid, data)] == []
