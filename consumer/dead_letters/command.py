"""The command `python -m consumer dead-letters`: dispatches to its subcommands."""

from collections.abc import Mapping, Sequence
from typing import Final

from consumer.dead_letters import listing, replay, show
from shared.command import Command, choose

_COMMANDS: Final[Mapping[str, tuple[Command, str]]] = {
    "list": (listing.main, "Lists dead letters and whether they were replayed, with a summary by reason."),
    "show": (show.main, "Shows all that is known of one event: its letters, headers, bytes and attempts."),
    "replay": (replay.main, "Scores dead letters again, exactly once, and publishes what comes of it."),
}


def main(arguments: Sequence[str]) -> int:
    """Runs a subcommand; returns its exit code."""
    command, rest = choose("python -m consumer dead-letters", _COMMANDS, arguments)
    return command(rest)
