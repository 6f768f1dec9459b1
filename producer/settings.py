"""What the producer can be told."""

from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AwareDatetime, Field, model_validator
from pydantic_settings import CliPositionalArg

from shared.durations import Duration
from shared.kafka.connection import KafkaSettings
from shared.logs import LogSettings
from shared.models.shipped import shipped_model
from shared.settings import CommandSettings, Delimiter, JsonSettings

DEFAULT_COUNT: Final = 1_000


class ProducerSettings(JsonSettings, LogSettings, KafkaSettings, CommandSettings):
    """Sends events to a topic: made-up customers, the lesson's five, or the rows of a file.

    Every option can also be given as a variable: --topic is TANDEM_TOPIC.

    Example:
      python -m producer --lesson
      python -m producer --count 100000 --rate 2000 --bad-ratio 0.01
      python -m producer --count 200000 --customers 20000 --span 7d
      python -m producer customers.csv --model models/churn
    """

    file: CliPositionalArg[Path | None] = Field(
        None, description="A .csv, .ndjson, .jsonl, .parquet or .pq file: each row becomes an event."
    )
    lesson: bool = Field(False, description="Send the lesson's five customers, for models/threshold.")
    topic: str = Field("customers", min_length=1, description="Where to send.")
    model: Path | None = Field(
        None,
        description="The model that the events are for: its key, and how the cells of a CSV file are read "
        "(default: models/churn-linear). With --lesson it is always models/threshold.",
    )
    count: int | None = Field(
        None,
        ge=0,
        description="Events to send, the malformed ones among them; 0 for no end "
        f"(default: {DEFAULT_COUNT:,} made-up ones, or all that there are).",
    )
    rate: float = Field(0.0, ge=0, allow_inf_nan=False, description="Events a second; 0 as fast as it goes.")
    seed: int = Field(0, description="Another seed gives other customers; the same gives the same.")
    customers: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="Make up so many customers who return, with inputs that change between their events; each"
        " comes once unless given.",
    )
    span: Annotated[Duration, Field(gt=0)] | None = Field(
        None,
        description="Give made-up events their occurred_at, spread over so long a time, such as 7d, that ends"
        " now unless --from is given.",
    )
    start: AwareDatetime | None = Field(
        None, alias="from", description="When that time begins, such as 2026-01-31T12:00:00Z."
    )
    bad_ratio: float = Field(
        0.0, ge=0, lt=1, description="The share of malformed events, for demos of the dead-letter topic."
    )
    bad_kinds: str = Field(
        "", description="Kinds of malformed events, separated by commas (default: all that the topic takes)."
    )
    ignore_case: bool = Field(False, description="Match the file's column names in any case.")
    delimiter: Delimiter = Field(
        ",", description="What separates the fields of a CSV file: one character, or the word tab."
    )

    @property
    def model_directory(self) -> Path:
        """The model that the events are for; the lesson's is its own, whatever TANDEM_MODEL says.

        Of the two models for made-up customers the default is the one that needs no library to be loaded.
        """
        return shipped_model("threshold") if self.lesson else self.model or shipped_model("churn-linear")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.lesson and self.file is not None:
            raise ValueError("--lesson sends the lesson's customers, and FILE its rows: give one of them")
        made_up = {"--customers": self.customers, "--span": self.span, "--from": self.start}
        given = [name for name, value in made_up.items() if value is not None]
        if given and (self.lesson or self.file is not None):
            raise ValueError(f"{given[0]} is for made-up customers: leave it out, or --lesson or FILE")
        if self.start is not None and self.span is None:
            raise ValueError("--from says when the time of --span begins: give --span too")
        if self.span is not None and self.count == 0:
            raise ValueError("--span spreads a number of events: give a --count other than 0")
        if self.bad_kinds and not self.bad_ratio:
            raise ValueError("--bad-kinds says which malformed events to send: give --bad-ratio too")
        return self
