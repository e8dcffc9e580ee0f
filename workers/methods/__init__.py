"""Methods by name. To add one: one file here and one name in this union.

The command line, the type checker and the exactness tests all read `AnyMethod`.
"""

from typing import Annotated, get_args

import tyro

from workers.methods.backprop import Backprop
from workers.methods.contsup import ContSup
from workers.methods.dgl import DGL
from workers.methods.dtp import DTP
from workers.methods.gn_dgl import GNDGL
from workers.methods.infopro import InfoPro
from workers.methods.method import Method
from workers.methods.predsim import PredSim

AnyMethod = (
    Annotated[GNDGL, tyro.conf.subcommand("gn-dgl")]
    | Annotated[DGL, tyro.conf.subcommand("dgl")]
    | Annotated[InfoPro, tyro.conf.subcommand("infopro")]
    | Annotated[ContSup, tyro.conf.subcommand("contsup")]
    | Annotated[PredSim, tyro.conf.subcommand("predsim")]
    | Annotated[DTP, tyro.conf.subcommand("dtp")]
    | Annotated[Backprop, tyro.conf.subcommand("backprop")]
)

# Name on the command line and in files → class.
METHODS: dict[str, type[Method]] = {
    get_args(choice)[1].name: get_args(choice)[0] for choice in get_args(AnyMethod)
}


def name_of(method: Method) -> str:
    """The name of a method's class, as in `METHODS`."""
    return next(name for name, kind in METHODS.items() if kind is type(method))
