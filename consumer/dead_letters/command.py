"""The command `python -m consumer dead-letters`: dispatches to its subcommands."""

from collections.abc import Mapping, Sequence
from typing import Final

from shared.command import Lazy, choose

#: By name, what each is and does.
COMMANDS: Final[Mapping[str, tuple[Lazy, str]]] = {
    "list": (
        Lazy("consumer.dead_letters.listing", settings="ListSettings"),
        "Lists dead letters and whether they were replayed, with a summary by reason.",
    ),
    "show": (
        Lazy("consumer.dead_letters.show", settings="ShowSettings"),
        "Shows all that is known of one event: its letters, headers, bytes and attempts.",
    ),
    "replay": (
        Lazy("consumer.dead_letters.replay", settings="ReplaySettings"),
        "Scores dead letters again, exactly once, and publishes what comes of it.",
    ),
}


def main(arguments: Sequence[str]) -> int:
    """Runs a subcommand; returns its exit code."""
    command, rest = choose("python -m consumer dead-letters", COMMANDS, arguments)
    return command(rest)
