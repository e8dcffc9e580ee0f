"""How a run ended: one file, one table."""

import io
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from comm.errors import NotWritten
from comm.telemetry import Evaluated
from partition.plan import Plan
from runtime.run_dir import RunDir
from runtime.table import size
from runtime.traces import Timing, traces
from workers.aside import replace

FINISHED = "finished"
STOPPED = "stopped as asked"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def results_line(result: Evaluated) -> str:
    """An evaluation in one line."""
    rows = " ".join(map(_percent, result.rows))
    head = "" if result.head is None else f", head {result.head:.2f}"
    member = "" if result.member is None else f", one member {result.member:.2f}"
    return (
        f"epoch {result.epoch}: {result.split} accuracy, %: rows {rows}{head}, "
        f"ensemble {result.ensemble:.2f}{member}; loss {result.loss:.4f}"
    )


def results_table(results: Sequence[dict[str, Any]]) -> RenderableType:
    """Evaluations as a table, one row each."""
    table = Table(title="accuracy, %", title_justify="left", box=None, pad_edge=False)
    rows = len(results[0]["rows"])
    members = ["member"] if results[0].get("member") is not None else []
    names = [*(f"row {k}" for k in range(rows)), "head", "ensemble", *members, "loss"]
    for name in ("epoch", "split", *names):
        table.add_column(name, justify="left" if name == "split" else "right")
    for result in results:
        table.add_row(
            str(result["epoch"]),
            result["split"],
            *map(_percent, result["rows"]),
            _percent(result["head"]),
            f"{result['ensemble']:.2f}",
            *(_percent(result[name]) for name in members),
            f"{result['loss']:.4f}",
        )
    return table


def modules_table(found: dict[str, Timing]) -> RenderableType:
    """What each module did with its time."""
    table = Table(title="modules", title_justify="left", box=None, pad_edge=False)
    for name in ("module", "rank", "images/s", "waiting", "mostly for", "memory"):
        table.add_column(name, justify="left" if name in ("module", "mostly for") else "right")
    for address, timing in found.items():
        peer, most = max(timing.waited.items(), key=lambda item: item[1], default=("–", 0.0))
        share = sum(timing.waited.values()) / timing.seconds if timing.seconds else 0.0
        table.add_row(
            address,
            str(timing.rank),
            f"{timing.images / timing.learning:.1f}" if timing.learning else "–",
            f"{100 * share:.1f} %",
            peer if most > 0 else "–",
            size(timing.resident),
        )
    return table


def summarise(run_dir: RunDir, plan: Plan, *, ended: str, console: Console) -> None:
    """Write summary.json and summary.txt, and print the table.

    What can not be read is left out, with a word; a summary that can not be written is printed.
    """
    left = traces(run_dir, plan)
    results, found = left.evaluations, left.timings
    parts: list[RenderableType] = []
    if results:
        parts += [results_table(results[-10:]), Text()]
    if found:
        parts += [modules_table(found), Text()]
    parts += map(Text, left.words)
    parts.append(Text(f"{ended}; everything is in {run_dir.root}"))
    whole = Group(*parts)
    written = {
        "ended": ended,
        "evaluations": results,
        "modules": {address: msgspec.to_builtins(timing) for address, timing in found.items()},
        "words": left.words,
    }
    text = io.StringIO()
    Console(file=text, width=120).print(whole)
    console.print(whole)
    try:
        replace(run_dir.summary, msgspec.json.format(msgspec.json.encode(written)))
        replace(run_dir.summary_text, text.getvalue().encode())
    except NotWritten as error:
        print(f"the summary stands here alone: {error}", file=sys.stderr)
