"""Scoring events: in this process, or in several under a supervisor."""

import signal
from collections.abc import Sequence

from consumer import worker
from consumer.settings import ConsumerSettings
from consumer.workers import supervisor
from shared import logs
from shared.settings import load


def main(arguments: Sequence[str]) -> int:
    """Scores events until it is told to stop or a limit is reached; returns the exit code."""
    settings = load(ConsumerSettings, arguments, "python -m consumer")
    logs.set_up(settings.log_format, settings.log_level)
    if settings.workers > 1:
        return supervisor.run_workers(settings, arguments)
    # With no supervisor there is nothing to restart: a hang-up ends the process, as it does any other.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    return worker.run_alone(settings)
