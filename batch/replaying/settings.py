"""What a replay can be told."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import CliPositionalArg

from batch.databases.settings import DatabaseSettings
from batch.selection.selection import Selection, names_in_batch
from batch.selection.settings import RowsSettings
from batch.selection.where import parse_where
from batch.topic_rows import TOPIC
from shared.kafka.connection import KafkaSettings
from shared.logs import LogSettings
from shared.sampling import Sample
from shared.schema import Schema
from shared.settings import Delimiter


class ReplaySettings(DatabaseSettings, LogSettings, KafkaSettings, RowsSettings):
    """Scores history with another model, and reports which decisions would flip, before it is deployed.

    History is a topic (topic:NAME), snapshots by `python -m batch export`, or whatever else
    `python -m batch score` reads. What decided is a model, with which the same events are scored too, or the
    predictions that were really made: topic:NAME, a snapshot of that topic, or an output folder of
    `python -m batch score`. Flips are counted by segment: by each category and boolean, by five ranges of
    each number, and by the most frequent texts. The exit status is 0 whatever flips, unless --fail-above is
    given.

    Example:
      python -m batch replay models/churn-linear topic:customers --against models/churn
      python -m batch replay models/churn-linear topic:customers --against topic:predictions --by tenure
      python -m batch replay candidate history.parquet --against models/churn --fail-above 0.02 --json
    """

    model: CliPositionalArg[Path] = Field(description="The directory of the model that is tried.")
    source: CliPositionalArg[list[str]] = Field(
        default_factory=list,
        description="History: topic:NAME; files, folders or quoted glob patterns; a database; a table of a"
        " lake. Not given: topic:customers.",
    )
    against: str = Field(
        description="What decided: a model's directory; or predictions: topic:NAME, a snapshot of such a"
        " topic, an output folder of `python -m batch score`, or one of its files."
    )
    by: list[str] = Field(
        default_factory=list,
        description="Inputs by which to divide the events: --by Contract,tenure. Not given: all of both"
        " models.",
    )
    top: int = Field(20, ge=0, description="How many segments and how many customers to show.")
    fail_above: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None,
        description="The largest share of decisions that may flip, or be lost because only the tried model "
        "rejects the event. Above it the exit status is 1.",
    )
    ignore_case: bool = Field(
        False, description="Match the columns of CSV and Parquet files to the models' inputs in any case."
    )
    delimiter: Delimiter = Field(
        ",", description="What separates the fields of CSV files: one character, or the word tab."
    )
    report: Path | None = Field(None, description="A folder to write report.html and report.json to.")
    as_json: bool = Field(False, alias="json", description="Print the replay as JSON instead of tables.")

    @property
    def history(self) -> list[str]:
        """Where the events come from."""
        return self.source or [f"{TOPIC}customers"]

    def selection(self, schema: Schema) -> Selection:
        """Which rows of history are meant.

        Args:
            schema: The inputs that are read.

        Raises:
            ConfigurationError: --where is not understood.
        """
        where = None if self.where is None else parse_where(self.where)
        sample = None if self.sample is None else Sample(self.sample, self.seed)
        named = () if where is None else where.columns
        known_as = names_in_batch(list(named), schema, {}, ignore_case=self.ignore_case)
        return Selection(where=where, sample=sample, known_as=known_as)
