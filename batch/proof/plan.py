"""What a proof covers, fixed before anything is read: offsets of topics, or the content of snapshots."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import Field

from batch.manifest import MANIFEST_FILE
from batch.proof.result import Frozen
from batch.proof.settings import ProveSettings
from batch.proof.window import WINDOW_OFFSETS
from shared.errors import ConfigurationError, InputError
from shared.moments import moment, shown_time
from shared.replay_log import log_topic
from shared.version import tandem_version


class Role(StrEnum):
    """What a topic is to the proof, by the name of its folder."""

    EVENTS = "events"
    PREDICTIONS = "predictions"
    DEAD_LETTERS = "dead-letters"
    REPLAYS = "replays"


#: What the settings of a plan call the time from which it covers events.
SINCE: Final = "--since"


class EventRange(Frozen):
    """The events of one partition that a proof covers.

    Attributes:
        partition: The partition.
        start: The first offset.
        end: The offset after the last one.
        pending: Offsets behind it, up to the end of the topic; markers of transactions count among them.
        unwritten: An offset that no event had yet when the answers were fixed: whatever speaks of it, or of a
            later one, speaks of no event. None when that is not known.
    """

    partition: int
    start: int
    end: int
    pending: int = 0
    unwritten: int | None = None


class AnswerRange(Frozen):
    """What is read of one partition of another topic.

    Attributes:
        partition: The partition.
        start: The first offset.
        end: The offset after the last one.
        cut: Whether records before `start` were deleted.
        kept_since: When they were: no answer to an event of that time or later was among them, by the topic's
            own retention. In milliseconds since the epoch; None when that is not known.
    """

    partition: int
    start: int
    end: int
    cut: bool = False
    kept_since: int | None = None


class Plan(Frozen):
    """What a proof covers.

    Attributes:
        topics: The topic of each role; there may be none of replays.
        events: The events, by partition.
        answers: By role, what is read of the other topics.
        notes: What limits the proof, as sentences.
        settings: The settings that all this depends on, as text: another proof has others.
    """

    topics: dict[Role, str]
    events: list[EventRange]
    answers: dict[Role, list[AnswerRange]]
    notes: list[str] = Field(default_factory=list)
    settings: dict[str, str]

    @property
    def pending(self) -> int:
        """Offsets of all partitions that the group had not committed."""
        return sum(one.pending for one in self.events)

    def narrowed(self, starts: Mapping[int, int], notes: Sequence[str]) -> "Plan":
        """The same plan, with fewer events.

        Args:
            starts: By partition, the offset from which events are covered.
            notes: Why, as further sentences.
        """
        events = [
            one.model_copy(update={"start": min(one.end, max(one.start, starts.get(one.partition, 0)))})
            for one in self.events
        ]
        return self.model_copy(update={"events": events, "notes": [*self.notes, *notes]})


def settings_of_plan(settings: ProveSettings) -> dict[str, str]:
    """The settings on which a plan depends, by the name of their option.

    Raises:
        InputError: A snapshot has no manifest.
    """
    if settings.exported:
        told = {f"--{role}": _manifest_digest(folder) for role, folder in exported(settings).items()}
    else:
        told = {
            "--bootstrap-servers": settings.bootstrap_servers,
            "--input-topic": settings.input_topic,
            "--output-topic": settings.output_topic,
            "--dead-letter-topic": settings.dead_letter_topic,
            "--replay-topic": log_topic(settings.dead_letter_topic, settings.replay_topic),
            "--group": settings.group,
        }
    told |= {"version of Tandem": tandem_version(), "size of windows": str(WINDOW_OFFSETS)}
    return told | ({} if settings.since is None else {SINCE: settings.since})


def exported(settings: ProveSettings) -> dict[Role, Path]:
    """The snapshots that the user gives instead of topics."""
    folders = {
        Role.EVENTS: settings.events,
        Role.PREDICTIONS: settings.predictions,
        Role.DEAD_LETTERS: settings.dead_letters,
        Role.REPLAYS: settings.replays,
    }
    return {role: folder for role, folder in folders.items() if folder is not None}


def _manifest_digest(folder: Path) -> str:
    try:
        return hashlib.sha256((folder / MANIFEST_FILE).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(
            f"{folder}: no {MANIFEST_FILE} can be read in it: {error.strerror}",
            hint="Make a snapshot with `python -m batch export TOPIC`.",
        ) from error


def check_distinct(topics: Mapping[Role, str]) -> None:
    """Sees that no topic is two things at once.

    Raises:
        ConfigurationError: One is.
    """
    for role, topic in topics.items():
        if other := next((name for name in topics if topics[name] == topic and name is not role), None):
            raise ConfigurationError(
                f"topic {topic!r} is named both for {role} and for {other}",
                hint="Name the topics that the consumer was given.",
            )


def since_of(settings: ProveSettings) -> int | None:
    """`--since` in milliseconds since the epoch.

    Raises:
        ConfigurationError: It is no time, or reaches before 1970: a negative time is none to a broker.
    """
    if settings.since is None:
        return None
    try:
        since = moment(settings.since, time.time_ns() // 1_000_000)
    except ValueError as error:
        raise ConfigurationError(f"--since: {settings.since!r} is not {error}") from error
    if since < 0:
        raise ConfigurationError(f"--since: {settings.since!r} reaches before 1970")
    return since


def since_notes(settings: ProveSettings, since: int | None) -> list[str]:
    """What `--since` limits."""
    if since is None:
        return []
    return [f"Only events from {shown_time(since)} on are proved: --since {settings.since}."]


def events_from(events: EventRange, first: int | None) -> EventRange:
    """A range of events from an offset on; None when it has none of them."""
    start = events.end if first is None else min(events.end, max(events.start, first))
    return events.model_copy(update={"start": start})
