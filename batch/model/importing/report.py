"""What an import says at its end: the inputs to check, what came of the sample, and what to do next."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from batch.model.importing.build import INPUTS_FILE, Check, Trained, most_common
from batch.model.importing.described import Described
from batch.model.importing.inputs import Found
from shared.predict import Predictor
from shared.schema import Input

_MOST_VALUES: Final = 5
_MOST_UNUSED: Final = 10


def show(
    predictor: Predictor, trained: Trained, described: Described, check: Check | None, output: Path
) -> None:
    """Prints the report.

    Args:
        predictor: With the model that was made.
        trained: What it was made of.
        described: What its file says of itself.
        check: What came of the sample; None without one.
        output: Where the model is.
    """
    declaration = predictor.model.declaration
    print(f"{predictor.model.id}: {trained.artifact.kind}, {described.objective}")
    print(f"  from {trained.provenance.get('source', trained.artifact.path.name)} ({trained.artifact.form})")
    print(f"  {declaration.outputs.decision} is true where the score is above {declaration.threshold:g}")
    if declaration.execution.rows == "one":
        print(f"  rows are scored one at a time: {predictor.model.scorer.unstable}")
    print()
    for line in inputs_table(trained.found):
        print(f"  {line}".rstrip())
    print()
    for line in _about_sample(trained.found, check):
        print(line)
    print(f"wrote {output}: {len(declaration.golden)} golden rows, sha256 {predictor.model.short_sha256}")
    print("next:")
    if trained.inferred:
        print(f"  check the inputs above; to change some, edit {output / INPUTS_FILE} and import again")
        print("    with --schema and another --output")
    print(f"  python -m batch model certify {output}")
    print(f"  python -m batch score FILE --model {output} --output scored")


def inputs_table(found: Found) -> list[str]:
    """The inputs as the lines of a table."""
    rows: list[Sequence[str]] = [("input", "type", "missing", "how it was found")]
    rows += [
        (declared.name, _shown_type(declared), _shown_missing(declared), found.notes.get(declared.name, ""))
        for declared in found.schema.inputs
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def _shown_type(declared: Input) -> str:
    if declared.type != "category":
        return declared.type
    values = declared.values or ()
    shown = ", ".join(values[:_MOST_VALUES]) + (", …" if len(values) > _MOST_VALUES else "")
    return f"category of {len(values)}: {shown}"


def _shown_missing(declared: Input) -> str:
    if declared.default is not None:
        return f"becomes {declared.default}"
    return "rejected" if declared.required else "nan"


def _about_sample(found: Found, check: Check | None) -> Iterator[str]:
    if found.unused:
        more = len(found.unused) - _MOST_UNUSED
        shown = ", ".join(found.unused[:_MOST_UNUSED]) + (f" and {more} more" if more > 0 else "")
        yield f"the sample has columns that the model does not take: {shown}"
    if found.schema.key not in {declared.name for declared in found.schema.inputs}:
        yield f"every event must have a {found.schema.key}, with the customer's id; --key names another field"
    if check is None:
        yield "no sample was given: the golden rows were made of the inputs"
        return
    outcome = check.outcome
    scored, true = len(outcome.scores), int(outcome.decisions.sum())
    yield (
        f"sample: {scored:,} of {check.rows:,} rows scored, from {outcome.scores.min():.6g} to"
        f" {outcome.scores.max():.6g}; {true:,} decisions are true ({100 * true / scored:.1f} %)"
    )
    if outcome.rejections:
        common = most_common(outcome.rejections)
        yield f"  {len(outcome.rejections):,} rejected; most as row {common.row}: {common.detail}"
