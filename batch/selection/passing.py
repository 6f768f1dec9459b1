"""The columns that go along with predictions: of one type in all inputs, and one that can be written."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.types as pt

from batch.outputs import OutputFormat
from batch.selection.partitions import check_columns
from batch.selection.selection import Selection, Selector
from batch.sources import Scorable
from shared import times
from shared.errors import ConfigurationError, InputError
from shared.predict import Predictor


def check_inputs(
    sources: Sequence[Scorable], predictor: Predictor, selection: Selection, *, renamed: bool
) -> pa.Schema:
    """Sees by their first rows that all inputs suit a selection.

    Args:
        sources: The inputs.
        predictor: What scores them.
        selection: Which of their rows and columns are meant.
        renamed: Whether inputs of the model are read from columns of other names.

    Returns:
        The columns that go along with the predictions.

    Raises:
        TandemError: A column's type does not go with what it is compared with, or differs between inputs.
    """
    if renamed:
        _check_renaming(sources)
    if not selection.named:
        return pa.schema([])
    selector = Selector(selection, predictor.model.schema)
    found: dict[str, tuple[pa.DataType, str]] = {}
    for source in sources:
        head = source.head(predictor)
        if head is None:
            continue
        fields = selector.fields(head, source)
        if selection.where is not None:
            try:
                selection.where.answers(fields)
            except ConfigurationError as error:
                raise ConfigurationError(f"{source.name}: {error.message}", hint=error.hint) from error
        for name in selection.columns:
            _note(found, name, fields.type_of(name), source.name)
    # In inputs without rows there is nothing that could have another type.
    return pa.schema([(name, found.get(name, (pa.string(), ""))[0]) for name in selection.columns])


def _check_renaming(sources: Sequence[Scorable]) -> None:
    """Sees that the fields of all inputs can be renamed."""
    for source in sources:
        if not source.renames:
            raise ConfigurationError(
                f"{source.name}: --map cannot rename the fields of JSON events",
                hint="An event is scored as it stands, as the stream scores it: write it with the names that"
                " the model declares.",
            )


def _note(found: dict[str, tuple[pa.DataType, str]], name: str, kind: pa.DataType, source: str) -> None:
    before, first = found.setdefault(name, (kind, source))
    if before != kind:
        raise InputError(
            f"--columns {name}: its type is {before} in {first} and {kind} in {source}",
            hint="Score the files apart, or write them anew with one type.",
        )


def check_output(form: OutputFormat, passed: pa.Schema) -> None:
    """Sees that predictions can be written as they are to be.

    Args:
        form: The format of the parts.
        passed: The columns that go along.

    Raises:
        ConfigurationError: They cannot.
    """
    if not form.text and form.suffix != form.name:
        raise ConfigurationError(
            f"--compress: {form.name} files are compressed already",
            hint="Leave it out; it is for --format csv and ndjson.",
        )
    if form.text:
        _check_plain(passed, form.name)
    check_columns(form.partition_by, form.schema)


def _check_plain(schema: pa.Schema, form: str) -> None:
    """Sees that columns can be written as text."""
    plain = (pt.is_boolean, pt.is_integer, pt.is_floating, pt.is_decimal, pt.is_string, pt.is_null)
    for field in schema:
        if not (times.is_time(field.type) or any(is_plain(field.type) for is_plain in plain)):
            raise ConfigurationError(
                f"--columns {field.name}: its type is {field.type}, which {form} has no form for",
                hint="Leave it out, or write --format parquet or arrow.",
            )
