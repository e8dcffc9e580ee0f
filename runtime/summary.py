"""How a run ended: one file, one table."""

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.text import Text

from comm.errors import NotWritten
from comm.telemetry import Evaluated
from partition.plan import Plan
from runtime.fitted import Column, Fitted, Sentence
from runtime.headline import SPLITS, accuracy, headline, legend, source
from runtime.run_dir import RunDir
from runtime.table import size
from runtime.traces import Timing, traces
from workers.aside import replace
from workers.ballot import Result

FINISHED = "finished"
STOPPED = "stopped as asked"
FAILED = "failed"
STOPPING = "stopping after this step and saving; Ctrl-C again quits without saving"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def results_line(plan: Plan, result: Evaluated) -> str:
    """An evaluation in one line: the accuracy that belongs in a paper first."""
    rows = " ".join(map(_percent, result.rows))
    head = "" if result.head is None else f", head {result.head:.2f}"
    together = f", ensemble {result.ensemble:.2f}" if len(plan.predictors) > 1 else ""
    member = "" if result.member is None else f", member {result.member:.2f}"
    return (
        f"epoch {result.epoch}: {SPLITS[result.split]} accuracy "
        f"{accuracy(plan, result):.2f} % ({source(plan)}); "
        f"rows {rows}{head}{together}{member}; loss {result.loss:.4f}"
    )


def results_table(plan: Plan, results: Sequence[dict[str, Any]]) -> RenderableType:
    """Evaluations as a table, one line each, and what its columns are."""

    def percents(name: str, values: Sequence[float | None]) -> Column:
        return Column(name=name, cells=tuple(map(_percent, values)), number=True)

    def words(name: str, *, number: bool) -> Column:
        cells = tuple(str(result[name]) for result in results)
        return Column(name=name, cells=cells, number=number, key=True)

    columns = [words("epoch", number=True), words("split", number=False)]
    for k in range(plan.grid.depth):
        columns.append(percents(f"row {k}", [result["rows"][k] for result in results]))
    there = {
        "head": plan.grid.readout,
        "ensemble": len(plan.predictors) > 1,
        "member": results[0].get("member") is not None,
    }
    for name in (name for name, is_there in there.items() if is_there):
        columns.append(percents(name, [result[name] for result in results]))
    losses = tuple(f"{result['loss']:.4f}" for result in results)
    columns.append(Column(name="loss", cells=losses, number=True))
    table = Fitted(columns, title="accuracy, %")
    return Group(table, *(Sentence(line, style="dim") for line in legend(plan)))


def modules_table(found: dict[str, Timing]) -> RenderableType:
    """What each module did with its time."""
    timings = found.values()
    most = [max(t.waited.items(), key=lambda item: item[1], default=("–", 0.0)) for t in timings]
    shares = [sum(t.waited.values()) / t.seconds if t.seconds else 0.0 for t in timings]
    rates = [f"{t.images / t.learning:.1f}" if t.learning else "–" for t in timings]

    def column(name: str, cells: Iterable[str], *, number: bool = True) -> Column:
        return Column(name=name, cells=tuple(cells), number=number, key=name == "module")

    return Fitted(
        [
            column("module", found, number=False),
            column("rank", (str(timing.rank) for timing in timings)),
            column("images/s", rates),
            column("waiting", (f"{100 * share:.1f} %" for share in shares)),
            column("mostly for", (p if s > 0 else "–" for p, s in most), number=False),
            column("memory", (size(timing.resident) for timing in timings)),
        ],
        title="modules",
    )


def last_words(plan: Plan, results: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The accuracy that belongs in a paper, of the last evaluation; on test images, if any was."""
    tested = [result for result in results if result["split"] == "test"]
    for result in (tested or results)[-1:]:
        yield headline(plan, msgspec.convert(result, Result))


def summarise(
    run_dir: RunDir, plan: Plan, *, ended: str, console: Console, cause: str | None = None
) -> None:
    """Write summary.json and summary.txt, and print the tables, the headline last.

    What can not be read is left out, with a word; a summary that can not be written is printed. The
    `cause` of a failure is told below it, where errors are told.
    """
    left = traces(run_dir, plan)
    results, found = left.evaluations, left.timings
    parts: list[RenderableType] = []
    if results:
        parts += [results_table(plan, results[-10:]), Text()]
    if found:
        parts += [modules_table(found), Text()]
    parts += map(Sentence, left.words)
    parts.append(Sentence(f"{ended}; everything is in {run_dir.root}"))
    parts += [Sentence(words, style="bold") for words in last_words(plan, results)]
    whole = Group(*parts)
    written = {
        "ended": ended,
        "cause": cause,
        "evaluations": results,
        "modules": {address: msgspec.to_builtins(timing) for address, timing in found.items()},
        "words": left.words,
    }
    text = io.StringIO()
    Console(file=text, width=120).print(whole, *([] if cause is None else [Sentence(cause)]))
    failed = None
    try:
        replace(run_dir.summary, msgspec.json.format(msgspec.json.encode(written)))
        replace(run_dir.summary_text, text.getvalue().encode())
    except NotWritten as error:
        failed = error
    console.print(whole)
    if cause is not None:
        print(cause, file=sys.stderr)
    if failed is not None:
        print(f"the summary stands here alone: {failed}", file=sys.stderr)
