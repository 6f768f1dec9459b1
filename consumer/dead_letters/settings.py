"""What the commands for dead letters can be told."""

import time
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, field_validator, model_validator
from pydantic_settings import CliPositionalArg

from consumer.dead_letters.letters import place_from
from shared.kafka.connection import KafkaSettings
from shared.logs import LogSettings
from shared.moments import moment
from shared.replay_log import log_topic
from shared.schema import Reason
from shared.settings import CommandSettings


class TopicSettings(LogSettings, KafkaSettings, CommandSettings):
    """Where the letters are."""

    dead_letter_topic: str = Field("dead-letters", description="The topic of the dead letters.")
    replay_topic: str | None = Field(
        None,
        description="The topic that says which letters were replayed; the dead-letter topic's name with"
        " -replayed unless given.",
    )
    as_json: bool = Field(False, alias="json", description="Print JSON.")

    @property
    def log(self) -> str:
        """The topic that says which letters were replayed."""
        return log_topic(self.dead_letter_topic, self.replay_topic)


def _as_it_is_written(position: str) -> str:
    """A position as headers tell it, without zeros before its numbers."""
    return "/".join(map(str, place_from(position)))


class FilterSettings(BaseModel):
    """Which letters; of several filters all must hold, of the values of one any."""

    reason: list[Reason] = Field(
        default_factory=list, description="Only letters of this reason; may be given again."
    )
    since: str | None = Field(
        None,
        description="Only letters written from this time on: 2026-01-31T12:00:00Z, or 2h for two hours ago.",
    )
    until: str | None = Field(None, description="Only letters written before this time, said likewise.")
    partition: list[int] = Field(
        default_factory=list, description="Only letters of this partition; may be given again."
    )
    by_model: list[str] = Field(
        default_factory=list,
        description="Only letters that this model rejected: name@version, or name for all versions; may be"
        " given again.",
    )
    field: list[str] = Field(
        default_factory=list, description="Only letters that blame this field; may be given again."
    )
    position: list[str] = Field(
        default_factory=list,
        description="Only the letters of the event at topic/partition/offset; may be given again.",
    )

    @field_validator("since", "until")
    @classmethod
    def _readable(cls, text: str | None) -> str | None:
        if text is not None:
            moment(text, time.time_ns() // 1_000_000)
        return text

    @field_validator("position")
    @classmethod
    def _are_positions(cls, texts: list[str]) -> list[str]:
        return [_as_it_is_written(text) for text in texts]


class ListSettings(TopicSettings, FilterSettings):
    """Lists dead letters, and whether each was replayed; counts them by reason and model at the end.

    Example:
      python -m consumer dead-letters list --since 2h --reason wrong_type
      python -m consumer dead-letters list --by-model churn@3 --json > letters.ndjson
      python -m consumer dead-letters list --summary
    """

    input_topic: str | None = Field(None, description="Only letters of events of this topic.")
    limit: int | None = Field(
        None, ge=1, description="Show the newest so many; 100 unless given, and all of them with --json."
    )
    summary: bool = Field(False, description="Show the counts only.")


class ShowSettings(TopicSettings):
    """Shows one event's dead letters: headers, key, bytes, and what became of each attempt.

    POSITION is the event's (its input topic/partition/offset, the prediction_id that it would have), or that
    of one of its letters (the dead-letter topic/partition/offset). What does not print is escaped.

    Example:
      python -m consumer dead-letters show customers/3/1042
      python -m consumer dead-letters show dead-letters/3/17 --json
    """

    position: CliPositionalArg[str] = Field(description="topic/partition/offset.")
    show_bytes: int = Field(
        4096, ge=0, description="How many bytes of a value to show; JSON has all of them."
    )

    @field_validator("position")
    @classmethod
    def _is_a_position(cls, text: str) -> str:
        return _as_it_is_written(text)


class ReplaySettings(TopicSettings, FilterSettings):
    """Scores dead letters again with the model, and publishes what comes of it, each letter exactly once.

    A prediction goes to the output topic with the event's own position, key and partition; what is rejected
    again becomes a new letter of a later attempt. Letters that the filters leave out can be replayed later.

    Example:
      python -m consumer dead-letters replay --model models/churn --reason unknown_category --dry-run
      python -m consumer dead-letters replay --model models/churn --since 2026-01-31T12:00:00Z --create-topics
    """

    model: Path = Field(description="The directory of the model that scores.")
    input_topic: str = Field(
        "customers", description="The topic of the events; letters of others are left alone."
    )
    output_topic: str = Field("predictions", description="Where the predictions go.")
    explain: int | None = Field(
        None,
        ge=1,
        description="Give with each prediction this many inputs that contributed most to its score.",
    )
    dry_run: bool = Field(False, description="Score and say what would happen; write nothing.")
    max_attempts: int | None = Field(
        None, ge=1, description="Leave letters alone that have been tried this often."
    )
    limit: int | None = Field(None, ge=1, description="Replay at most so many letters.")
    create_topics: bool = Field(False, description="Create --replay-topic when it does not exist.")
    batch_events: int = Field(5_000, ge=1, description="Most letters to score and commit at once.")
    commit_timeout: float = Field(
        30.0, gt=0, description="Seconds for a commit or abort before it ends as stalled."
    )
    transaction_timeout: float = Field(
        10.0, gt=0, description="Seconds after which the broker ends the transaction of a killed replay."
    )
    shutdown_timeout: float = Field(20.0, gt=0, description="Seconds to finish in after SIGTERM or Ctrl-C.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        topics = {
            "input": self.input_topic,
            "output": self.output_topic,
            "dead-letter": self.dead_letter_topic,
            "replay": self.log,
        }
        if len(set(topics.values())) < len(topics):
            told = ", ".join(f"{role} topic {name}" for role, name in topics.items())
            raise ValueError(f"the topics must differ: {told}")
        return self
