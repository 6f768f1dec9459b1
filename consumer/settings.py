"""What the consumer can be told."""

import socket
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from consumer.web.settings import HttpSettings
from shared.kafka.connection import KafkaSettings
from shared.logs import LogSettings
from shared.settings import CommandSettings


class Guarantee(StrEnum):
    """What a killed or restarted consumer does to the predictions."""

    EXACTLY_ONCE = "exactly-once"
    AT_LEAST_ONCE = "at-least-once"


class ConsumerSettings(HttpSettings, LogSettings, KafkaSettings, CommandSettings):
    """Scores events as they arrive and publishes predictions, until it is told to stop.

    Every option can also be given as a variable: --input-topic is TANDEM_INPUT_TOPIC.

    Commands:
      check         Looks at all that a consumer of these settings would meet, and says what to change.
      status        Shows how far a group is and who works in it.
      dead-letters  Lists, shows and replays the letters of events that could not be scored.
    python -m consumer COMMAND --help shows the options of each; without a command, it scores events.

    Example:
      python -m consumer --model models/churn --create-topics
      python -m consumer --model models/churn --guarantee at-least-once --until-idle 5
      python -m consumer --model models/churn --workers 3
      python -m consumer --model models/churn --watch-model 10 --shadow models/churn-linear
      python -m consumer --model models/churn --sentinel 0.01
      python -m consumer dead-letters list --since 2h
      python -m consumer check --model models/churn
      python -m consumer status --group tandem --watch 2
    """

    model: Path = Field(description="The model's directory.")
    input_topic: str = Field("customers", description="Where the events come from.")
    output_topic: str = Field("predictions", description="Where the predictions go.")
    dead_letter_topic: str = Field("dead-letters", description="Where events go that cannot be scored.")
    group: str = Field("tandem", min_length=1, description="The consumer group.")
    instance: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]+$",
        max_length=200,
        description="A name for this instance, unique in the group and the same after a restart; "
        "made from the host's name unless given.",
    )
    guarantee: Guarantee = Field(
        Guarantee.EXACTLY_ONCE,
        description="exactly-once: each event has one prediction or dead letter, whatever is killed; "
        "at-least-once: nothing is lost, but a prediction may be written twice.",
    )
    explain: int | None = Field(
        None,
        ge=1,
        description="Give with each prediction this many inputs that contributed most to its score.",
    )
    create_topics: bool = Field(False, description="Create topics that do not exist.")
    partitions: int = Field(6, ge=1, description="Partitions of topics that --create-topics makes.")
    batch_events: int = Field(25_000, ge=1, description="About how many events to score and commit at once.")
    batch_seconds: float = Field(1.0, gt=0, description="About how long one batch may take.")
    commit_timeout: float = Field(
        30.0, gt=0, description="Seconds for a commit or abort before the consumer ends as stalled."
    )
    transaction_timeout: float = Field(
        10.0, gt=0, description="Seconds after which the broker ends the transaction of a killed consumer."
    )
    shutdown_timeout: float = Field(20.0, gt=0, description="Seconds to finish in after SIGTERM or Ctrl-C.")
    stall_timeout: float = Field(
        60.0,
        gt=0,
        description="Seconds that a poll or the scoring of a batch may take, and a partition with events may"
        " stand still, before the consumer ends as stalled.",
    )
    workers: int = Field(1, ge=1, description="Processes that share the work under one supervisor.")
    max_restarts: int = Field(
        10,
        ge=0,
        description="How often in a row, without a minute of work between, a worker may fail before all end.",
    )
    reject_limit: float = Field(
        0.5,
        gt=0,
        le=1,
        description="The share of rejected events above which it stops and writes no more of them; 1: never.",
    )
    reject_window: int = Field(
        1_000, ge=1, description="Over how many events at least the share of rejected ones is taken."
    )
    watch_model: float | None = Field(
        None,
        gt=0,
        description="Look for a new model in the model's directory every so many seconds, and swap it in.",
    )
    shadow: Path | None = Field(
        None,
        description="A second model that scores the same events to the shadow topic, and decides nothing.",
    )
    shadow_topic: str = Field("shadow-predictions", description="Where the shadow's predictions go.")
    sketch: Path | None = Field(
        None,
        description="A folder in which each worker keeps how the inputs and scores are spread, written every"
        " minute, for python -m batch drift.",
    )
    sentinel: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Score this share of the events again, by columns as the batch path does, and count in"
        " the metrics where the two disagree: 0.01 is one event in a hundred.",
    )
    screen: bool = Field(
        True, description="Show figures below the log on a terminal; piped or as JSON there are none."
    )
    max_events: int | None = Field(None, ge=1, description="End after this many events.")
    until_idle: float | None = Field(None, gt=0, description="End when nothing came for this many seconds.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        topics = {
            "input": self.input_topic,
            "output": self.output_topic,
            "dead-letter": self.dead_letter_topic,
        }
        if self.shadow is not None:
            topics["shadow"] = self.shadow_topic
        if len(set(topics.values())) < len(topics):
            told = ", ".join(f"{role} topic {name}" for role, name in topics.items())
            raise ValueError(f"the topics must differ, or the consumer would read its own output: {told}")
        return self

    @model_validator(mode="after")
    def _countable(self) -> Self:
        if self.workers > 1 and self.max_events is not None:
            raise ValueError("--max-events counts the events of one process: give it without --workers")
        return self

    @property
    def written_topics(self) -> tuple[str, ...]:
        """The topics that it writes to; each needs as many partitions as the input topic."""
        shadow = () if self.shadow is None else (self.shadow_topic,)
        return (self.output_topic, self.dead_letter_topic, *shadow)

    @property
    def host(self) -> str:
        """The host's name, as far as it can stand in an instance's name."""
        return "".join(c if c.isalnum() or c in "._-" else "-" for c in socket.gethostname())
