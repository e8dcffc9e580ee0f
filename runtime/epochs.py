"""Whether a run may go on for another number of epochs: only if its past would be the same.

The run then is, bit for bit, the one that had this number from its start.
"""

from collections.abc import Iterator
from itertools import islice

from runtime.config import Config
from runtime.job import schedule_of
from workers.checkpoint import Note
from workers.data.feed import Feed
from workers.optim import LearningRate


def problems(stored: Config, given: Config, feed: Feed, note: Note | None) -> Iterator[str]:
    """Why the epochs of `given` can not follow what was trained, up to `note`, with `stored`'s."""
    epochs = given.optim.epochs
    if note is None or epochs == stored.optim.epochs or epochs < 1:
        return
    old, new = schedule_of(stored, feed), schedule_of(given, feed)
    if note.turn > len(new):
        yield (
            f"--epochs {epochs}: the run has trained {note.step} steps of "
            f"{feed.steps_per_epoch} an epoch, which is more; give a higher number"
        )
        return
    rates = [
        LearningRate(config=c.optim, batch=c.data.batch, steps_per_epoch=feed.steps_per_epoch)
        for c in (stored, given)
    ]
    for step in range(note.step):
        before, after = (rate(step) for rate in rates)
        if before != after:
            yield (
                f"--epochs {epochs}: the learning rate follows --epochs, so that the past would "
                f"have been another one: step {step} was trained with {before:.6g}, and would have "
                f"been with {after:.6g}. Train anew; or the next time choose a schedule that does "
                "not depend on it: --schedule constant, step with --milestones, or cosine with "
                "--period and --warmup"
            )
            return
    if [*islice(old.turns(), note.turn)] != [*islice(new.turns(), note.turn)]:
        yield (
            f"--epochs {epochs}: the run has made its last evaluation, which would come later; "
            "train anew"
        )
