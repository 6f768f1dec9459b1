"""`--dry-run`: scores the first rows of every input, and says what a run would do; nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from batch.job import Job, pieces_of
from batch.pieces import numbers_of, parted, rows_of
from batch.selection.selection import Selection, Selector
from batch.sources import Scorable
from shared.errors import TandemError
from shared.formats.base import Chunk
from shared.predict import Predictor
from shared.schema import Schema
from shared.stores.address import shown_address
from shared.visible import visible

#: How many of the first rows of an input are scored.
ROWS_TRIED = 1_000


@dataclass(slots=True)
class Tried:
    """What became of the first rows of an input.

    Attributes:
        name: The input.
        read: How many of them were scored or rejected.
        left_out: How many of them were not selected.
        rejected: By reason, how many were rejected, and the first of them with its detail.
        rows: How many rows the input has; None where only reading tells.
        splits: In how many pieces it can be read.
        size: Its length in bytes; None where only reading tells.
        columns: Lines on where the model's inputs come from.
        refused: Why it cannot be read; None when it can.
    """

    name: str
    read: int = 0
    left_out: int = 0
    rejected: dict[str, tuple[int, str]] = field(default_factory=dict)
    rows: int | None = None
    splits: int = 0
    size: int | None = None
    columns: list[str] = field(default_factory=list)
    refused: TandemError | None = None


def try_inputs(sources: Sequence[Scorable], predictor: Predictor, selection: Selection) -> list[Tried]:
    """Scores the first rows of every input, also after one that cannot be read."""
    return [_tried(source, predictor, selection) for source in sources]


def plan_of(job: Job, predictor: Predictor, tried: Sequence[Tried], workers: int, memory: int) -> str:
    """What a run would do, for a person to read.

    Args:
        job: The run; its sources are the inputs that can be read.
        predictor: Its model.
        tried: What became of the first rows of all inputs.
        workers: How many pieces are scored at once.
        memory: What the run may take, in MiB.
    """
    model = predictor.model
    sizes = [one.size for one in tried if one.size is not None]
    inputs = ", ".join([f"inputs   {len(tried):,}", *([f"{sum(sizes):,} bytes"] if sizes else [])])
    lines = [f"model    {model.id} {model.short_sha256}", inputs]
    formats = {source.name: source.format for source in job.sources}
    for one in tried:
        lines += _lines_of(one, formats.get(one.name, ""))
    if job.sources:
        form = job.form(model)
        pieces = pieces_of(job.sources, predictor, job.part_rows)
        rows = [one.rows for one in tried if one.refused is None]
        whole = sum(-(-count // job.part_rows) for count in rows if count) if None not in rows else 0
        parts = max(len(pieces), whole)
        told = f"{parts:,} part{'s' * (parts > 1)}{'' if None not in rows else ' or more'}"
        parted = f", in folders by {', '.join(form.partition_by)}" if form.partition_by else ""
        lines.append(
            f"output   {shown_address(job.output)}: {told} of up to {job.part_rows:,} rows read{parted}"
        )
        lines.append(f"columns  {', '.join(form.schema.names)} ({form.suffix})")
        lines.append(f"workers  {min(workers, len(pieces))}, within {memory:,} MiB")
    lines.append("Nothing was written: this was a dry run.")
    return "\n".join(map(visible, lines))


def _tried(source: Scorable, predictor: Predictor, selection: Selection) -> Tried:
    tried = Tried(source.name)
    try:
        source.check(predictor)
        if source.resumable:
            tried.size = source.state().size
        splits = source.splits(predictor, ROWS_TRIED)
        counts = [split.rows for split in splits]
        tried.splits = len(splits)
        tried.rows = sum(count or 0 for count in counts) if None not in counts else None
        tried.columns = _columns(source, predictor)
        _score_first(tried, source, predictor, Selector(selection, predictor.model.schema))
    except TandemError as error:
        tried.refused = error
    return tried


def _score_first(tried: Tried, source: Scorable, predictor: Predictor, selector: Selector) -> None:
    left = ROWS_TRIED
    for whole in source.chunks(predictor):
        chunk = _first(whole, left)
        left -= rows_of(chunk)
        picked = selector.pick(chunk, source)
        tried.left_out += rows_of(chunk) - rows_of(picked)
        scored = source.score(predictor, picked)
        tried.read += scored.read
        for rejection in scored.outcome.rejections:
            count, first = tried.rejected.get(
                rejection.reason, (0, f"row {rejection.row}: {rejection.detail}")
            )
            tried.rejected[rejection.reason] = count + 1, first
        if left <= 0:
            return


def _first(chunk: Chunk, rows: int) -> Chunk:
    """At most so many of a chunk's first rows."""
    return chunk if rows_of(chunk) <= rows else parted(chunk, numbers_of(chunk)[rows])[0]


def _columns(source: Scorable, predictor: Predictor) -> list[str]:
    """Where the model's inputs come from."""
    schema = predictor.model.schema
    head = source.head(predictor)
    if head is None:
        return []
    if head.batch is None or source.events(head) is not None:
        return ["inputs: the fields of each event"]
    found = set(head.batch.schema.names)
    return [_matched(schema, found), *_missing(schema, found)]


def _matched(schema: Schema, found: set[str]) -> str:
    names = [schema.key, *(feature.name for feature in schema.features)]
    return f"inputs: {sum(name in found for name in names)} of {len(names)} have a column"


def _missing(schema: Schema, found: set[str]) -> list[str]:
    return [
        f"no column {feature.name}: in every row it is "
        + ("missing" if feature.default is None else repr(feature.default))
        for feature in schema.features
        if feature.name not in found
    ]


def _lines_of(tried: Tried, form: str) -> list[str]:
    if tried.refused is not None:
        said = " ".join(str(tried.refused).split())
        return [f"  {tried.name}: cannot be scored: {said}"]
    rows = "rows counted when read" if tried.rows is None else f"{tried.rows:,} rows"
    pieces = f"{tried.splits:,} {'piece' if tried.splits == 1 else 'pieces'}"
    rejected = sum(count for count, _ in tried.rejected.values())
    left_out = f", {tried.left_out:,} left out" if tried.left_out else ""
    size = "" if tried.size is None else f"{tried.size:,} bytes, "
    return [
        f"  {tried.name}: {form}, {size}{rows}, {pieces}",
        *(f"    {line}" for line in tried.columns),
        f"    first rows: {tried.read - rejected:,} scored, {rejected:,} rejected{left_out}",
        *(f"      {reason} {count:,}, first {first}" for reason, (count, first) in tried.rejected.items()),
    ]
