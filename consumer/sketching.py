"""Keeps sketches of what a worker scored, in files that `python -m batch drift` compares with a batch's.

A folder of --sketch has a folder for each model in it, and in that a file for each worker and start: what a
worker before this one wrote is never touched, and merging all files gives what all of them scored. A file
covers a day at most, so that a day's files can be compared, and old ones deleted. Only what was committed
counts. What cannot be written, on a full disk say, waits, also when the next file is begun. What a killed
worker committed after it last wrote its file is lost to the sketches, and to nothing else.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from consumer.loop import Telemetry
from consumer.passing_on import PassingOn
from consumer.scoring import Given, Scored
from consumer.settings import ConsumerSettings
from shared.errors import ConfigurationError
from shared.models.directory import Model
from shared.sketches.file import SketchFile
from shared.sketches.sketches import Sketches
from shared.version import tandem_version

logger = logging.getLogger(__name__)

# Seconds between two writings of a file.
_PERIOD: Final = 60.0
_LONGEST: Final = timedelta(days=1)
# Files that could not be written and wait for that; more would fill the memory.
_MOST_UNWRITTEN: Final = 8


@dataclass(slots=True)
class _Kept:
    """What a file is to hold.

    Attributes:
        model: What scored.
        sketches: Of what was committed.
        since: When they were begun.
        until: When they ended; None while they are added to.
        written: How many rows of them the file holds.
    """

    model: Model
    sketches: Sketches
    since: datetime
    until: datetime | None = None
    written: int = 0


class Sketching(PassingOn):
    """Passes on what the loop tells, and keeps the sketches of what is committed.

    Args:
        telemetry: Who is told besides.
        folder: Where the files go; it is there.
        topic: Where the events come from.
        group: The consumer group.
        instance: The worker's name in it.
        clock: The monotonic clock, in seconds.
        now: The time of day.
    """

    def __init__(
        self,
        telemetry: Telemetry,
        folder: Path,
        topic: str,
        group: str,
        instance: str,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(telemetry)
        self._folder = folder
        self._names = {"topic": topic, "group": group, "instance": instance}
        self._clock, self._now = clock, now
        self._kept: _Kept | None = None
        #: What ended while it could not be written, the oldest first.
        self._unwritten: list[_Kept] = []
        self._written_at = clock()

    def positions(self, positions: Mapping[int, int]) -> None:
        """Passes it on; what was committed before it fell quiet is written, too."""
        super().positions(positions)
        self._write_if_due()

    def committed(self, batch: Sequence[Scored], polled_at: float) -> None:
        """Takes in a batch that is committed."""
        super().committed(batch, polled_at)
        for scored in batch:
            if scored.given is not None:
                self._add(scored.given, scored)
        self._write_if_due()

    def _add(self, given: Given, scored: Scored) -> None:
        kept = self._kept
        if kept is None or kept.model.sha256 != given.model.sha256 or self._now() - kept.since >= _LONGEST:
            kept = self._begin(given.model)
        kept.sketches.add(given.frame, scored.outcome.scores, scored.outcome.decisions)

    def _begin(self, model: Model) -> "_Kept":
        """Begins a file; what could not be written of the one before waits."""
        if not self.write() and self._kept is not None:
            self._kept.until = self._now()
            self._unwritten.append(self._kept)
            if len(self._unwritten) > _MOST_UNWRITTEN:
                lost = self._unwritten.pop(0)
                logger.error(
                    "Sketches of %d rows of %s are lost: for too long they could not be written",
                    lost.sketches.rows - lost.written,
                    lost.model.id,
                )
        self._kept = _Kept(model, Sketches.of(model.schema), self._now())
        return self._kept

    def _write_if_due(self) -> None:
        if self._clock() - self._written_at >= _PERIOD:
            self.write()

    def write(self) -> bool:
        """Writes what came since the last time; what cannot be written is tried again later.

        Returns:
            Whether the file that is being kept holds all.
        """
        self._written_at = self._clock()
        self._unwritten = [kept for kept in self._unwritten if not self._is_written(kept)]
        return self._kept is None or self._is_written(self._kept)

    def _is_written(self, kept: "_Kept") -> bool:
        """Whether a file holds all that was kept for it; writes it where it does not."""
        if kept.sketches.rows == kept.written:
            return True
        told = SketchFile(
            tandem=tandem_version(),
            **self._names,
            model=kept.model.id,
            model_sha256=kept.model.sha256,
            since=kept.since.isoformat(timespec="milliseconds"),
            until=(kept.until or self._now()).isoformat(timespec="milliseconds"),
            sketches=kept.sketches.to_json(),
        )
        folder = self._folder / f"{kept.model.id}-{kept.model.short_sha256}"
        path = folder / f"{self._names['instance']}-{kept.since:%Y%m%dT%H%M%S.%fZ}.json"
        try:
            folder.mkdir(exist_ok=True)
            _replace(path, told.model_dump_json(indent=2).encode() + b"\n")
        except OSError as error:
            # The predictions do not depend on it.
            logger.warning("The sketches are not written: %s: %s", path, error.strerror or error)
            return False
        kept.written = kept.sketches.rows
        return True


def _replace(path: Path, content: bytes) -> None:
    """Writes a file in one step: whoever reads it finds all of it, or what was there before."""
    unfinished = path.with_name(f".{path.name}.tmp")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


@contextmanager
def sketching(settings: ConsumerSettings, instance: str, telemetry: Telemetry) -> Iterator[Telemetry]:
    """Who the loop is to tell how it goes; with --sketch it keeps sketches until the block ends.

    Args:
        settings: The folder, if any.
        instance: The worker's name.
        telemetry: Who is told in any case.

    Raises:
        ConfigurationError: The folder cannot be made.
    """
    folder = settings.sketch
    if folder is None:
        yield telemetry
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"--sketch: {folder} cannot be made: {error.strerror}",
            hint="Name a folder that this user may write to, and no file.",
        ) from error
    kept = Sketching(telemetry, folder, settings.input_topic, settings.group, instance)
    try:
        yield kept
    finally:
        kept.write()
