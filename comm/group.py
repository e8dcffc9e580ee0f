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
        self, turn: int, tensors: Sequence[Tensor], flags: Flag
    ) -> Generator[Wait, None, list[Tensor]]:
        """Send each peer its tensor (rows, …); the peers' tensors, in group order."""
        for sender, tensor in zip(self.senders, tensors, strict=True):
            message = Message(turn=turn, rows=len(tensor), flags=flags, tensors=(tensor,))
            yield from send(sender, message)
        others: list[Tensor] = []
        for receiver in self.receivers:
            others.append((yield from receive(receiver, turn)).tensors[0])
        return others
