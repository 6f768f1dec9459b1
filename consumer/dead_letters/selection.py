"""Which letters a replay scores again, and why it leaves the others alone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from consumer.dead_letters.filters import Filter
from consumer.dead_letters.letters import Letter
from shared.errors import InputError
from shared.replay_log import Replayed, Standing


class Left(StrEnum):
    """Why a letter is left alone; each one can be replayed another time, unless it was."""

    FILTERED = "left out by the filters"
    OTHER_TOPIC = "of another input topic"
    REPLAYED = "replayed before"
    TRIED_OUT = "tried --max-attempts times"
    BEYOND_LIMIT = "beyond --limit"
    GONE = "without their bytes, which are gone"


@dataclass(frozen=True, slots=True)
class Selection:
    """Chooses letters; each event at most once among what is `chosen` together.

    Attributes:
        input_topic: Whose events.
        chosen: What the user asked for.
        max_attempts: Leave letters alone that have been tried so often; None: never.
        replayed: What has been replayed already.
    """

    input_topic: str
    chosen: Filter
    max_attempts: int | None
    replayed: Replayed

    def why_not(self, letter: Letter) -> Left | None:
        """Why a letter is left alone; None when it is to be replayed.

        Raises:
            InputError: The log of replays does not belong to these letters.
        """
        told = letter.told
        if told.origin.topic != self.input_topic:
            return Left.OTHER_TOPIC
        if not self.chosen.takes(letter):
            return Left.FILTERED
        if self.replayed.standing(told) is not Standing.WAITING:
            return Left.REPLAYED
        if told.attempt > 1 and self.replayed.newest(told.origin) is None:
            raise InputError(
                f"{letter.place} is of attempt {told.attempt}, but the log of replays does not know it",
                hint="Name the log with which these letters were replayed before, with --replay-topic. If it"
                " was deleted, what was replayed cannot be told any more: give --since, to leave the older"
                " letters alone.",
            )
        if self.max_attempts is not None and told.attempt >= self.max_attempts:
            return Left.TRIED_OUT
        return None

    def among(self, letters: Sequence[Letter], left: Counter[Left]) -> list[Letter]:
        """The letters to replay; the others are counted, by why not."""
        found: dict[tuple[str, int], Letter] = {}
        for letter in letters:
            reason = self.why_not(letter)
            event = (letter.told.origin.position, letter.told.origin.timestamp)
            if reason is None and event in found:
                # The same letter twice, as after a crash under at-least-once.
                reason = Left.REPLAYED
            if reason is None:
                found[event] = letter
            else:
                left[reason] += 1
        return list(found.values())
