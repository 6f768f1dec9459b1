"""A proof of snapshots instead of topics: what they cover."""

from collections.abc import Mapping

from batch.manifest import Snapshot
from batch.proof.plan import (
    AnswerRange,
    EventRange,
    Plan,
    Role,
    check_distinct,
    events_from,
    exported,
    settings_of_plan,
    since_notes,
    since_of,
)
from batch.proof.recorded import Recorded, snapshot_in
from batch.proof.settings import ProveSettings
from shared.errors import ConfigurationError, InputError


def plan_of_exports(settings: ProveSettings) -> Plan:
    """What a proof of snapshots covers: all that they hold, or the events from `--since` on.

    Raises:
        InputError: A folder holds something else, is not whole, or two hold the same topic.
        ConfigurationError: --since is no time.
    """
    found = {role: snapshot_in(folder, f"--{role}") for role, folder in exported(settings).items()}
    topics = {role: manifest.topic for role, manifest in found.items()}
    _check_snapshots(settings, topics)
    _check_headers(settings, found[Role.DEAD_LETTERS])
    since = since_of(settings)
    events = [
        EventRange(partition=one.partition, start=one.start, end=one.end)
        for one in found[Role.EVENTS].partitions
    ]
    if since is not None and settings.events is not None:
        held = [Recorded(settings.events, found[Role.EVENTS], one.partition) for one in events]
        events = [events_from(one, own.first_since(since)) for one, own in zip(events, held, strict=True)]
    answers = {
        role: [
            AnswerRange(partition=one.partition, start=one.start, end=one.end, cut=one.start > 0)
            for one in manifest.partitions
        ]
        for role, manifest in found.items()
        if role is not Role.EVENTS
    }
    return Plan(
        topics=topics,
        events=events,
        answers=answers,
        notes=since_notes(settings, since),
        settings=settings_of_plan(settings),
    )


def _check_snapshots(settings: ProveSettings, topics: Mapping[Role, str]) -> None:
    try:
        check_distinct(topics)
    except ConfigurationError as error:
        where = ", ".join(f"--{role} {folder}" for role, folder in exported(settings).items())
        raise InputError(
            f"{where}: {error.message}", hint="Give each option the snapshot of its own topic."
        ) from error


def _check_headers(settings: ProveSettings, letters: Snapshot) -> None:
    if letters.rows and "headers" not in {column.name for column in letters.columns}:
        raise InputError(
            f"--dead-letters {settings.dead_letters}: the snapshot holds no headers, in which a dead letter"
            " says of which event it is",
            hint="An earlier version of Tandem has made it: export the topic again.",
        )
