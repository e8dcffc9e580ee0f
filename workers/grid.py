"""The workers of one process, wired: which transport each route takes."""

from collections.abc import Callable, Mapping

from comm.address import Address
from comm.ports import open_ports
from comm.route import Route
from comm.transports import Transport
from comm.transports.memory import Memory
from workers.job import Job
from workers.record import Recorder
from workers.worker import Worker, never


def hire(
    job: Job,
    recorders: Mapping[Address, Recorder],
    outside: Transport | None = None,
    *,
    asked_to_stop: Callable[[], bool] = never,
) -> list[Worker]:
    """One worker for every address in `recorders`.

    Routes between two of them stay in memory, all others take `outside`; without it every address
    of the plan must be here.
    """
    inside = Memory()

    def transport_of(route: Route) -> Transport:
        if route.source in recorders and route.target in recorders:
            return inside
        assert outside is not None, f"{route} leaves the process, and there is no transport"
        return outside

    return [
        Worker(
            job,
            address,
            open_ports(address, job.plan.routes, transport_of),
            recorder,
            asked_to_stop=asked_to_stop,
        )
        for address, recorder in recorders.items()
    ]
