"""The options of `batch score` that say which rows are scored, and what their predictions hold besides."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from batch.selection.selection import Selection, check_mapping, names_in_batch
from batch.selection.where import parse_where
from batch.sinks import Compression
from shared.errors import ConfigurationError
from shared.models.directory import Model
from shared.predictions import prediction_schema
from shared.sampling import Sample
from shared.settings import CommandSettings


class RowsSettings(CommandSettings):
    """Which rows of the inputs are meant."""

    where: str | None = Field(
        None,
        description="Score only rows for which this holds, as in SQL: \"plan = 'pro' and tenure_months > 12 "
        "and region in ('eu', 'us') and notes is not null\". Any column may be named; a missing value "
        "compares with nothing.",
    )
    sample: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="Score this share of the rows, drawn by the hash of a row's file and number: the same "
        "rows every time.",
    )
    seed: int = Field(0, description="Another one draws another sample.")


class SelectionSettings(RowsSettings):
    """What to score of the inputs, and in which shape to write it."""

    limit: int | None = Field(
        None, ge=1, description="Score so many rows at most: the first, in the order of the inputs."
    )
    columns: list[str] = Field(
        default_factory=list,
        description="Columns of the inputs to give with each prediction: --columns plan,region.",
    )
    map: dict[str, str] = Field(
        default_factory=dict,
        description="Read a model's input from a column of another name; may be given again. "
        "Not for JSON events, which are scored as they stand.",
    )
    partition_by: list[str] = Field(
        default_factory=list,
        description="Write folders plan=pro/... of the predictions with these values: of columns that "
        "--columns names, or of the decision.",
    )
    compress: Compression = Field("none", description="Compress the parts of format csv or ndjson.")

    def selection(self, model: Model, *, ignore_case: bool) -> Selection:
        """Which rows are scored, and which columns go along.

        Args:
            model: The model that scores.
            ignore_case: Whether names of columns match in any case.

        Raises:
            ConfigurationError: An option makes no sense, or contradicts another.
        """
        where = None if self.where is None else parse_where(self.where)
        check_mapping(self.map, model.schema)
        self._check_columns(model)
        chosen = Selection(
            where=where,
            sample=None if self.sample is None else Sample(self.sample, self.seed),
            limit=self.limit,
            columns=tuple(self.columns),
        )
        known_as = names_in_batch(chosen.named, model.schema, self.map, ignore_case=ignore_case)
        return replace(chosen, known_as=known_as)

    def _check_columns(self, model: Model) -> None:
        """Sees that the columns that go along are not there already."""
        own = prediction_schema(model, explained=True).names
        for name in self.columns:
            if name in own:
                raise ConfigurationError(
                    f"--columns {name}: every prediction has a column of that name",
                    hint=f"Its own columns are: {', '.join(own)}.",
                )
            if not name or self.columns.count(name) > 1:
                raise ConfigurationError(
                    f"--columns {','.join(self.columns)}: a name is empty or stands there twice",
                    hint="Name each column once, separated by commas: --columns plan,region.",
                )
