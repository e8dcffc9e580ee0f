"""What a turn begins with: the module's input, and where it comes from.

    row 0       leave to begin, and the images
    later rows  the features of the row before; the inputs of earlier rows, where they are contexts

Images and labels are computed where they are needed, never sent.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from comm.channel import Receiver, Wait, receive, send
from comm.errors import WrongMessage
from comm.message import Flag, Message
from comm.ports import Ports
from partition.plan import ModulePlan
from workers.ballot import merged
from workers.job import Job
from workers.schedule import Turn
from workers.step import Inbox


@dataclass(frozen=True)
class Heard:
    """The module's input of one turn; in an evaluation, also the ballot of the rows before.

    `read` is the turn in which the row before sent it, where that is the reader's choice (replay).
    `save`: all modules write a checkpoint before they take this turn.
    """

    inbox: Inbox
    ballot: Tensor | None = None
    read: int | None = None
    save: bool = False


@dataclass(frozen=True)
class Stop:
    """The run ends before `turn`, counted in row 0."""

    turn: int


def joined(messages: Sequence[Message], ends: Sequence[Receiver]) -> Tensor:
    """The features of a row: its groups' channels, or its replicas' images, in their order."""
    parts = [message.tensors[0] for message in messages]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=0 if shared_out(ends) else 1)


def shared_out(ends: Sequence[Receiver]) -> bool:
    """Whether these come from replicas, which have other images each."""
    return ends[0].route.sends.of > 1


@dataclass
class Hearing:
    """Receives one module's input, turn after turn.

    k0g0 alone consults `asked_to_stop` and `due_to_save`, for all modules.
    """

    job: Job
    plan: ModulePlan
    ports: Ports
    asked_to_stop: Callable[[], bool]
    due_to_save: Callable[[], bool]

    def hear(self, turn: Turn) -> Generator[Wait, None, Heard | Stop]:
        """The input of this turn, or where the run ends."""
        if self.plan.address.k == 0:
            return (yield from self._begin(turn))
        messages: list[Message] = []
        for end in self.ports.heard:
            messages.append((yield from receive(end, turn.index)))
        for message in messages:
            if message.stop:
                return Stop(message.step)
        self.check(turn, messages, self.ports.heard)
        inputs = self.images(turn, turn.step)
        for k, ends in self.ports.contexts.items():
            heard: list[Message] = []
            for end in ends:  # who stops says so ahead, and that was heard before
                heard.append((yield from receive(end, turn.index)))
            self.check(turn, heard, ends)
            inputs[k] = joined(heard, ends)
        ballot = None
        if not turn.learns:
            ballots = [message.tensors[1] for message in messages]
            ballot = torch.cat(ballots) if shared_out(self.ports.heard) else merged(ballots)
        features = joined(messages, self.ports.heard)
        save = any(message.save for message in messages)
        return Heard(self.inbox(turn, features, inputs, turn.step), ballot, save=save)

    def done(self) -> Generator[Wait, None, Stop | None]:
        """After the last turn: nothing is left to receive."""
        yield from ()
        return None

    def _begin(self, turn: Turn) -> Generator[Wait, None, Heard | Stop]:
        """Row 0: leave to begin, and the images."""
        save = False
        if self.ports.permit is not None:
            permit = yield from receive(self.ports.permit, turn.index)
            if permit.stop:
                return Stop(permit.step)
            save = permit.save
        elif turn.learns or turn.first:  # an evaluation that has begun is counted to its end
            if self.asked_to_stop():
                return Stop(turn.index)
            save = self.due_to_save()
        for end in self.ports.permits:
            flags = Flag.SAVE if save else Flag.NONE
            yield from send(end, Message(turn=turn.index, flags=flags))
        inputs = self.images(turn, turn.step)
        return Heard(self.inbox(turn, inputs[0], inputs, turn.step), save=save)

    def check(self, turn: Turn, messages: Sequence[Message], ends: Sequence[Receiver]) -> None:
        """Every message is of this turn's batch. Raises WrongMessage."""
        for message, end in zip(messages, ends, strict=True):
            part = end.route.part(self.batch(turn, message.step))
            rows = part.stop - part.start
            if message.rows != rows or (Flag.VOTE in message.flags) == turn.learns:
                raise WrongMessage(
                    f"{end.route}: {message.rows} samples ({message.flags!r}) arrived for {turn}, "
                    f"expected {rows}"
                )

    def batch(self, turn: Turn, step: int) -> int:
        """How many images the whole batch has."""
        if turn.split is None:
            return self.job.feed.rows(step)
        return len(self.job.feed.eval_labels(turn.split, turn.batch))

    def images(self, turn: Turn, step: int) -> dict[int, Tensor]:
        """Its images, as the input of row 0, if this module needs them: normalised."""
        if not (self.plan.hears_image or (turn.learns and self.plan.decodes)):
            return {}
        feed = self.job.feed
        if turn.split is None:
            images = feed.images(step)
        else:
            images = feed.eval_images(turn.split, turn.batch)
        layout = torch.channels_last if self.job.plan.channels_last else torch.contiguous_format
        images = images[self.plan.share.part(len(images))]
        return {0: images.to(self.job.device, memory_format=layout)}

    def inbox(self, turn: Turn, features: Tensor, inputs: Mapping[int, Tensor], step: int) -> Inbox:
        """What the method finds; `inputs` has what earlier rows read, row 0 the images."""
        batch = self.batch(turn, step)
        decodes = self.plan.decodes and 0 in inputs
        return Inbox(
            features=features,
            step=step,
            batch=batch,
            rows=self.plan.share.part(batch),
            contexts=tuple(inputs[context.source] for context in self.plan.contexts),
            pixels=self.job.feed.denormalised(inputs[0]) if decodes else None,
        )
