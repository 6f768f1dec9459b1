"""What an advice can be told."""

from datetime import UTC, time, tzinfo
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, field_validator
from pydantic_settings import CliPositionalArg

from shared.durations import Duration
from shared.kafka.connection import KafkaSettings
from shared.logs import LogSettings
from shared.settings import CommandSettings, Delimiter

_UTC: Final = "UTC"
#: More than anybody means, and so little that no product of it is infinite.
_MOST: Final = 1e12


class Wishes(BaseModel):
    """What cadences to compare, and what counts."""

    tolerate: float = Field(
        0.01,
        ge=0,
        le=1,
        description="The share of uses that may have another decision than real time's, or none.",
    )
    every: list[Annotated[Duration, Field(ge=1)]] = Field(
        default_factory=list, description="A further cadence, such as 15m; give it again for more."
    )
    nightly_at: time = Field(time(2, 0), description="When the nightly run begins.")
    time_zone: str = Field(_UTC, description="Whose time that is, such as Europe/Berlin.")
    warm_up: Annotated[Duration, Field(ge=0)] | None = Field(
        None,
        description="For so long from the first event on, such as 2d, events are known to runs, but no use is"
        " counted; half of the recorded time unless given.",
    )
    run_seconds: float | None = Field(
        None,
        ge=0,
        le=_MOST,
        allow_inf_nan=False,
        description="How long a run takes; what was measured on this machine unless given.",
    )
    stream_cpu: float | None = Field(
        None,
        ge=0,
        le=_MOST,
        allow_inf_nan=False,
        description="CPU seconds per million events that your consumers need, Kafka included: the rise of"
        " process_cpu_seconds_total over that of events; measured without Kafka unless given.",
    )
    stream_cores: float = Field(
        1.0,
        ge=0,
        le=_MOST,
        allow_inf_nan=False,
        description="Cores that are held for real time all day, whether they are used or not.",
    )
    price: float | None = Field(
        None, ge=0, le=_MOST, allow_inf_nan=False, description="What a CPU hour costs, in any currency."
    )
    sample: float = Field(
        1.0, gt=0, le=1, description="The share of customers to look at, each with all events."
    )

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            zone_of(name)
        except (ValueError, OSError, KeyError):
            raise ValueError("a name of the time zone database, such as Europe/Berlin or UTC") from None
        return name

    @field_validator("nightly_at")
    @classmethod
    def _of_day(cls, at: time) -> time:
        if at.tzinfo is not None:
            raise ValueError("a time of day such as 02:00; --time-zone says where")
        return at

    @property
    def zone(self) -> tzinfo:
        """The time zone of the nightly run."""
        return zone_of(self.time_zone)


def zone_of(name: str) -> tzinfo:
    """A time zone by its name; UTC needs no database.

    Raises:
        KeyError: There is none of this name.
        ValueError: It is no such name.
    """
    return UTC if name == _UTC else ZoneInfo(name)


class AdviseSettings(LogSettings, KafkaSettings, Wishes, CommandSettings):
    """Says from recorded events whether you need real time, or whether a batch does, and what each costs.

    The events are scored by the batch path, and then replayed as if they had been scored in real time, every
    minute, hourly and nightly: how old the decision in force was at each event, how often it was another one
    than the event's own, for how long it stood. What each cadence costs is measured on this machine. An
    event's time is its occurred_at, or else the timestamp of its record. It ends with a recommendation.

    Example:
      python -m batch advise topic:customers --model models/churn --predictions topic:predictions
      python -m batch advise snapshot --model models/churn --every 15m --tolerate 0.005 --price 0.05
      python -m batch advise 'events/*.ndjson' --model models/churn --time-zone Europe/Berlin --report advice
    """

    source: CliPositionalArg[list[str]] = Field(
        min_length=1,
        description="topic:NAME, snapshots of `python -m batch export`, or files that `batch score` reads.",
    )
    model: Path = Field(description="The model's directory.")
    predictions: str | None = Field(
        None,
        description="The stream's predictions of these events, to measure how late they were: topic:NAME, or"
        " a snapshot of the topic.",
    )
    ignore_case: bool = Field(
        False, description="Match the columns of CSV and Parquet files to the model's inputs in any case."
    )
    delimiter: Delimiter = Field(
        ",", description="What separates the fields of CSV files: one character, or the word tab."
    )
    report: Path | None = Field(None, description="A folder to write report.html and report.json to.")
    as_json: bool = Field(False, alias="json", description="Print the advice as JSON instead of a table.")
