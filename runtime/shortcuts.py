"""What can be told from a command line before anything heavy is imported."""

from runtime.world import under_torchrun


def starts_processes(arguments: list[str]) -> bool:
    """Whether this command will start processes of its own, so that they may begin to import."""
    return (
        arguments[:1] == ["train"]
        and not under_torchrun()
        and not {"--debug", "--help", "--help-all", "-h"} & set(arguments)
    )
