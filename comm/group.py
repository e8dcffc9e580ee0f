"""The modules of one row, as one of them sees the others."""

from collections.abc import Generator, Sequence

from torch import Tensor

from comm.channel import Receiver, Sender, Wait, receive, send
from comm.message import Flag, Message


class LayerGroup:
    """Exchanges one named tensor per turn with the peers of a row, point to point.

    `senders` and `receivers` hold one end per peer, in group order. All sends come before the
    first receive: with any window of at least one, a row can not block itself.
    """

    def __init__(self, senders: Sequence[Sender], receivers: Sequence[Receiver]) -> None:
        self.senders = tuple(senders)
        self.receivers = tuple(receivers)

    def exchange(
        self, turn: int, tensor: Tensor, flags: Flag
    ) -> Generator[Wait, None, list[Tensor]]:
        """Send `tensor` (rows, …) to every peer; the peers' tensors, in group order."""
        message = Message(turn=turn, rows=len(tensor), flags=flags, tensors=(tensor,))
        for sender in self.senders:
            yield from send(sender, message)
        others: list[Tensor] = []
        for receiver in self.receivers:
            others.append((yield from receive(receiver, turn)).tensors[0])
        return others
