"""Where the papers cut, and what their K means: the one file that knows their tables.

Everywhere in Loci, *depth* counts the trunk's modules. The papers say K for different things:

- GN-DGL and DGL list the boundaries that carry a loss, and the end of the trunk is one of them:
  K entries, K trunk modules. Key "1A" is one module with a local loss, key "1" plain end-to-end
  training; the read-out head behind the last boundary is not counted.
- InfoPro and ContSup list the same boundaries without the end: K - 1 entries, K trunk modules.
- GN-DGL's accuracy tables head their columns with the *total* number of modules, K x G.
"""

from typing import NamedTuple

# Depth → the last block of every module but the last one, by blocks per stage (spec §1.4).
_RESNET32 = {
    1: "",
    2: "s2b1",
    3: "s1b4 s2b4",
    4: "s1b2 s2b1 s3b0",
    8: "s1b0 s1b2 s1b4 s2b1 s2b3 s3b0 s3b2",
    16: "stem s1b0 s1b1 s1b2 s1b3 s1b4 s2b0 s2b1 s2b2 s2b3 s2b4 s3b0 s3b1 s3b2 s3b3",
}
_RESNET110 = {
    1: "",
    2: "s2b8",
    3: "s1b17 s2b17",
    4: "s1b11 s2b7 s3b3",
    8: "s1b4 s1b11 s2b0 s2b7 s2b14 s3b3 s3b10",
    16: "s1b1 s1b4 s1b7 s1b10 s1b13 s1b16 s2b1 s2b4 s2b7 s2b11 s2b15 s3b1 s3b5 s3b9 s3b13",
}
CUTS: dict[str, dict[int, str]] = {"resnet32": _RESNET32, "resnet110": _RESNET110}
CUTS["resnet32x2"] = _RESNET32

# Balanced by memory (InfoPro*; ContSup for ResNet-32): (network, dataset) → the same.
BALANCED: dict[tuple[str, str], dict[int, str]] = {
    ("resnet32", "cifar10"): {
        2: "s1b3",
        4: "s1b2 s1b4 s2b2",
        8: "s1b1 s1b2 s1b3 s2b1 s2b2 s3b1 s3b2",
        16: _RESNET32[16],
    },
    ("resnet110", "cifar10"): {2: "s1b14", 3: "s1b9 s2b2", 4: "s1b6 s1b14 s2b8"},
    ("resnet110", "stl10"): {2: "s1b14", 3: "s1b8 s2b1", 4: "s1b6 s1b14 s2b8"},
}

Lambdas = tuple[float, float, float, float]  # ixx_1, ixy_1, ixx_2, ixy_2

# What InfoPro's losses weigh at the first and at the last boundary (contrast; spec §5), by network
# and dataset, then by depth. ContSup uses the same tables when it reconstructs.
LAMBDAS: dict[tuple[str, str], dict[int, Lambdas]] = {
    ("resnet32", "cifar10"): {
        2: (5, 1, 0, 0),
        4: (6, 0, 1, 2),
        8: (5, 0, 0, 2),
        16: (5, 0.05, 0.2, 0.5),
    },
    ("resnet110", "cifar10"): {
        2: (5, 0.5, 0, 0),
        4: (1, 0, 0, 1),
        8: (5, 0, 0, 1),
        16: (5, 0, 0.5, 1),
    },
    ("resnet110", "stl10"): {
        2: (10, 1, 0, 0),
        4: (20, 0.2, 5, 2),
        8: (20, 0.2, 5, 1),
        16: (20, 0.5, 10, 0.1),
    },
    ("resnet110", "svhn"): {
        2: (1, 0.1, 0, 0),
        4: (5, 0, 0.5, 1),
        8: (5, 0, 0.5, 2),
        16: (5, 0.2, 0.5, 1),
    },
}

# The same for the cuts that are balanced by memory.
BALANCED_LAMBDAS: dict[tuple[str, str], dict[int, Lambdas]] = {
    ("resnet110", "cifar10"): {2: (5, 0.1, 0, 0), 3: (5, 0, 5, 0.1), 4: (5, 0, 5, 0.1)},
    ("resnet110", "stl10"): {2: (20, 1, 0, 0), 3: (20, 0.5, 5, 2), 4: (20, 0.5, 10, 1)},
}


class Feedback(NamedTuple):
    """How DTP's feedback weights are trained: for every layer but the first, but for `beta`."""

    beta: float
    iterations: tuple[int, ...]
    noise: tuple[float, ...]
    lr: tuple[float, ...]


# Both were found on CIFAR-10 (dtp §1.8).
FEEDBACK: dict[str, Feedback] = {
    "simple_vgg": Feedback(
        beta=0.7,
        iterations=(20, 30, 35, 55, 20),
        noise=(0.4, 0.4, 0.2, 0.2, 0.08),
        lr=(1e-4, 3.5e-4, 8e-3, 8e-3, 0.18),
    ),
    "lenet": Feedback(
        beta=0.4655,
        iterations=(41, 51, 24),
        noise=(0.41640, 0.38263, 0.13954),
        lr=(7.188e-4, 1.251e-4, 3.5415e-2),
    ),
}


def published_cuts(network: str, dataset: str, depth: int, *, balanced: bool) -> tuple[str, ...]:
    """The last block of every module but the last. Raises KeyError where nobody published one."""
    table = BALANCED[network, dataset] if balanced else CUTS[network]
    return tuple(table[depth].split())


def published_lambdas(network: str, dataset: str, *, balanced: bool) -> dict[int, Lambdas]:
    """InfoPro's λ by depth; empty where nobody published any."""
    return (BALANCED_LAMBDAS if balanced else LAMBDAS).get((network, dataset), {})


def nearest_lambdas(network: str, depth: int) -> tuple[tuple[str, str, int], Lambdas]:
    """InfoPro's λ where nobody published any: whose they are (network, dataset, depth), and they.

    They are those of the network on CIFAR-10, or of ResNet-32, at the published depth just below,
    or at the smallest.
    """
    name = network if (network, "cifar10") in LAMBDAS else "resnet32"
    table = LAMBDAS[name, "cifar10"]
    at = max((published for published in table if published <= depth), default=min(table))
    return (name, "cifar10", at), table[at]


def depth_of_key(key: str) -> int:
    """Depth of a key of GN-DGL's own split table ("1A", "2", "4" …)."""
    return 1 if key in ("1", "1A") else int(key)


def depth_of_boundaries(boundaries: int) -> int:
    """Depth of an InfoPro or ContSup table that lists so many boundaries."""
    return boundaries + 1


def depth_of_total(total: int, groups: int) -> int:
    """Depth of a column headed K x G in GN-DGL's accuracy tables."""
    depth, rest = divmod(total, groups)
    if rest:
        raise ValueError(f"{total} modules are not a multiple of {groups} groups")
    return depth
