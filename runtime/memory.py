"""What the processes of a run will hold of batches under way, beside what this host has free."""

from collections.abc import Iterable

from partition.plan import Plan
from runtime.table import frame_bytes, size
from workers.memory import free_memory


def memory_problems(plan: Plan, ranks: Iterable[int]) -> list[str]:
    """A window that the memory of this host, which runs these `ranks`, can not hold."""
    held, free = sum(frame_bytes(plan, rank) for rank in ranks), free_memory()
    if held <= free:
        return []
    replay = f", --replay {plan.replay}" if plan.replay else ""
    return [
        f"--window {plan.window}{replay}: batches under way would take up to {size(held)} of "
        f"memory here, and {size(free)} are free: give a smaller "
        f"{'--window or --replay' if plan.replay else '--window'}, or smaller batches (--batch, "
        "--eval-batch)"
    ]
