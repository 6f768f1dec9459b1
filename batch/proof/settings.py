"""What a proof can be told."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from shared.kafka.connection import KafkaSettings
from shared.logs import LogSettings
from shared.settings import CommandSettings, Delimiter

#: What rows of a table are joined to events by.
JoinInput = Literal["event_id", "customer_id"]


class ProveSettings(LogSettings, KafkaSettings, CommandSettings):
    """Proves, event by event and bit by bit, that stream and batch agree and that nothing was lost.

    The ends of the topics are fixed first: what the consumer's group has committed by then is proved. Events,
    predictions and dead letters are exported to the work folder, the events are scored by the batch path with
    the very models that are stamped on their predictions, and each event is found to be identical to the bit
    or told as what it is. The exit status is 0 only when all is identical and conserved.

    Example:
      python -m batch prove --model models/churn --report proof
      python -m batch prove --model models/churn --model models/churn-linear --since 24h --sample 0.1
      python -m batch prove --model models/churn --events e --predictions p --dead-letters d
      python -m batch prove --model models/churn --rows warehouse.parquet --on event_id
    """

    model: list[Path] = Field(
        min_length=1,
        description="A model's directory, or a folder of such; repeat it for each model that scored.",
    )
    input_topic: str = Field("customers", description="The consumer's input topic.")
    output_topic: str = Field("predictions", description="The consumer's output topic.")
    dead_letter_topic: str = Field("dead-letters", description="The consumer's dead-letter topic.")
    replay_topic: str | None = Field(
        None,
        description="The topic that says which dead letters were replayed; the dead-letter topic's name with"
        " -replayed unless given.",
    )
    group: str = Field(
        "tandem",
        min_length=1,
        description="The consumer's group: what it has committed is proved, and what it has not is pending.",
    )
    events: Path | None = Field(
        None, description="A snapshot of the input topic by `python -m batch export`, instead of the topic."
    )
    predictions: Path | None = Field(None, description="A snapshot of the output topic, likewise.")
    dead_letters: Path | None = Field(None, description="A snapshot of the dead-letter topic, likewise.")
    replays: Path | None = Field(None, description="A snapshot of the replay topic, if there is one.")
    rows: str | None = Field(
        None,
        description="The batch side, when it is not the topic's own events: a file or folder of rows that"
        " `python -m batch score` reads.",
    )
    on: JoinInput = Field("event_id", description="What the rows of --rows are joined to events by.")
    delimiter: Delimiter = Field(
        ",",
        description="What separates the fields of CSV files of --rows: one character, or the word tab.",
    )
    since: str | None = Field(
        None,
        description="Prove only events from then on: an RFC 3339 time, or how long ago: 90m, 24h, 7d.",
    )
    sample: float = Field(
        1.0,
        gt=0,
        le=1,
        description="The share of events to score again, drawn by position; all are still counted.",
    )
    examples: int = Field(3, ge=0, description="How many events to show of each class that is not well.")
    advise: bool = Field(False, description="Advise on batch or real time, too, from the same events.")
    work_folder: Path | None = Field(
        None, description="A folder for the exports, which is kept; a temporary one unless given."
    )
    resume: bool = Field(False, description="Go on with the proof that was begun in the work folder.")
    report: Path | None = Field(None, description="A folder to write report.html and report.json to.")
    as_json: bool = Field(False, alias="json", description="Print the proof as JSON instead of a table.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        exported = {
            "--events": self.events,
            "--predictions": self.predictions,
            "--dead-letters": self.dead_letters,
        }
        given = [name for name, folder in exported.items() if folder is not None]
        if given and len(given) < len(exported):
            missing = ", ".join(name for name in exported if name not in given)
            raise ValueError(f"{given[0]} needs {missing} too: a proof is of topics, or of three snapshots")
        if self.replays is not None and not given:
            raise ValueError("--replays belongs to --events, --predictions and --dead-letters")
        if self.resume and self.work_folder is None:
            raise ValueError("--resume goes on in the --work-folder of the proof that was begun: name it")
        return self

    @property
    def exported(self) -> bool:
        """Whether the proof is of snapshots, and needs no broker."""
        return self.events is not None
