"""Which letters a command is about."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from consumer.dead_letters.letters import Letter
from consumer.dead_letters.settings import FilterSettings
from shared.moments import moment
from shared.schema import Reason


@dataclass(frozen=True, slots=True)
class Filter:
    """Holds for a letter when each of its parts does; an empty part, or None, holds for all.

    Attributes:
        reasons: Why the event was rejected.
        since: The earliest time of a letter, in milliseconds since the epoch.
        until: The time from which on letters are left out.
        models: `name@version` or `name` of the model that rejected the event.
        fields: The field at fault.
        positions: The event's `topic/partition/offset`.
    """

    reasons: Collection[Reason] = ()
    since: int | None = None
    until: int | None = None
    models: Collection[str] = ()
    fields: Collection[str] = ()
    positions: Collection[str] = ()

    @classmethod
    def of(cls, settings: FilterSettings, now: int) -> Self:
        """The filter that a user asked for.

        Args:
            settings: What was asked; the partitions are chosen where the topic is read.
            now: The present, in milliseconds since the epoch.
        """
        return cls(
            frozenset(settings.reason),
            None if settings.since is None else moment(settings.since, now),
            None if settings.until is None else moment(settings.until, now),
            frozenset(settings.by_model),
            frozenset(settings.field),
            frozenset(settings.position),
        )

    def takes(self, letter: Letter) -> bool:
        """Whether it holds."""
        told = letter.told
        return (
            (not self.reasons or told.reason in self.reasons)
            and (self.since is None or letter.timestamp >= self.since)
            and (self.until is None or letter.timestamp < self.until)
            and (not self.models or not {told.model, told.model.partition("@")[0]}.isdisjoint(self.models))
            and (not self.fields or told.field in self.fields)
            and (not self.positions or told.origin.position in self.positions)
        )
