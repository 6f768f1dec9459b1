"""`python -m batch model certify`: scores rows in every way there is and compares them to the bit."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from pydantic import Field
from pydantic_settings import CliPositionalArg

from batch.model.golden import choose_golden, held_golden
from batch.model.page import certificate_page
from batch.model.routes import EventRows, routes_of
from batch.model.samples import Sample, events_of, generate_sample, read_sample, with_ids
from batch.model.trials import Progress, Scores, one_by_one, try_all
from batch.model.verdicts import reason_of, show_certificate
from batch.model.writing import declaration_text, replace_file
from batch.sources import Reading
from shared.errors import ExitCode, InputError
from shared.models.certificate import (
    CERTIFICATE_FILE,
    PAGE_FILE,
    Certificate,
    Certified,
    Machine,
    SampleUsed,
    Trial,
    Verdict,
    libraries_of,
)
from shared.models.directory import MODEL_FILE, Execution, GoldenRow, Model, digest, read_model
from shared.predict import Predictor
from shared.progress import Meter
from shared.schema import Reason
from shared.settings import CommandSettings, Delimiter, load

PROGRAM: Final = "python -m batch model certify"


class CertifySettings(CommandSettings):
    """Proves that a model gives a row the same score, to the bit, however the row is scored.

    Rows are scored one at a time as events, then in batches of 1 to 4,096, as they stand, shuffled and
    reversed, as JSON, CSV and Parquet, by one thread and by two at once. A model that holds only when its
    rows are scored one at a time is declared to be run so; one that does not hold at all is refused, with
    exit status 1. Golden rows are written into model.json, and the certificate beside it: certificate.json,
    and certificate.html to read.

    Example:
      python -m batch model certify models/churn
      python -m batch model certify my-model --sample customers.csv --rows 20000
    """

    model: CliPositionalArg[Path] = Field(description="The model's directory.")
    sample: Path | None = Field(
        None, description="A file of rows like those to be scored. Without one, rows are made of the inputs."
    )
    rows: int = Field(5_000, ge=1, description="How many rows of the sample to score, from its beginning.")
    ignore_case: bool = Field(
        False, description="Match the columns of a sample to the model's inputs in any case."
    )
    delimiter: Delimiter = Field(
        ",", description="What separates the fields of a CSV sample: one character, or the word tab."
    )
    renew_golden: bool = Field(
        False,
        description="Give golden rows the scores that they get now, where these differ: after the model's "
        "library was upgraded, for example.",
    )
    as_json: bool = Field(False, alias="json", description="Print the certificate as JSON.")


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Raises:
        TandemError: The model or the sample cannot be used, or the certificate not be written.
    """
    settings = load(CertifySettings, arguments, PROGRAM)
    certificate = certify(settings)
    if settings.as_json:
        print(certificate.model_dump_json(indent=2))
    else:
        show_certificate(certificate, settings.model)
    return ExitCode.ANSWER_IS_NO if certificate.verdict == "refused" else ExitCode.DONE


def certify(settings: CertifySettings) -> Certificate:
    """Certifies a model, and writes the certificate and what it says of the model into its directory.

    Raises:
        TandemError: The model or the sample cannot be used, or the certificate not be written.
    """
    begin = time.monotonic()
    folder = settings.model
    predictor = Predictor(read_model(folder, certifying=True))
    text = _writable(folder)
    held = held_golden(predictor, renew=settings.renew_golden)
    rows = _rows(settings, predictor, held)
    with Meter() as meter:
        finding = _find(predictor, rows, meter.add)
    model = predictor.model
    if finding.verdict != "refused":
        added = choose_golden(
            model.schema,
            rows.sample.events[len(held) :],
            rows.reference.values[len(held) :],
            rows.sample.events[: len(held)],
        )
        model = _write_back(model, folder, text, [*held, *added], finding.rows)
    certificate = Certificate(
        verdict=finding.verdict,
        reason=finding.reason,
        model=Certified(
            id=model.id,
            kind=model.declaration.kind,
            sha256=model.sha256,
            execution=model.declaration.execution.rows,
            golden=len(model.declaration.golden),
        ),
        trials=tuple(finding.trials),
        sample=SampleUsed(
            source=rows.sample.source,
            rows=len(rows.sample.events),
            golden=len(held),
            left_out=dict(sorted(rows.sample.left_out.items())),
            sha256=rows.sample.digest(),
        ),
        libraries=libraries_of(model.declaration.kind),
        machine=Machine.this(),
        issued=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - begin, 1),
    )
    content = certificate.model_dump_json(indent=2, exclude_none=True).encode()
    replace_file(folder / CERTIFICATE_FILE, content + b"\n")
    replace_file(folder / PAGE_FILE, certificate_page(certificate).encode())
    return certificate


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows to certify with, all of which the model can score, and what each scores alone."""

    sample: Sample
    reference: Scores


def _rows(settings: CertifySettings, predictor: Predictor, held: Sequence[GoldenRow]) -> _Rows:
    schema = predictor.model.schema
    if settings.sample is None:
        sample = generate_sample(schema, settings.rows)
    else:
        reading = Reading(settings.ignore_case, settings.delimiter)
        sample = read_sample(predictor, settings.sample, settings.rows, reading)
    golden = predictor.parse_json([json.dumps(row.event).encode() for row in held])
    events = [*events_of(schema, golden), *sample.events]
    values = [json.dumps(event).encode() for event in with_ids(schema, events)]
    reference = one_by_one(predictor, EventRows(values))
    scored = np.flatnonzero(~np.isnan(reference.values))
    left_out = sample.left_out.copy()
    if len(scored) < len(events):
        left_out[str(Reason.MODEL_ERROR)] += len(events) - len(scored)
    kept = Sample(sample.source, [events[place] for place in scored.tolist()], left_out)
    return _Rows(kept, reference.take(scored))


@dataclass(frozen=True, slots=True)
class _Finding:
    """What the trials show: the verdict, why, and how the rows are to be handed to the model."""

    verdict: Verdict
    reason: str | None
    rows: Literal["any", "one"]
    trials: list[Trial]


def _find(predictor: Predictor, rows: _Rows, progress: Progress) -> _Finding:
    """Tries the model as it is declared, and if it does not hold together, one row at a time."""
    model = predictor.model
    events = with_ids(model.schema, rows.sample.events)
    routes = routes_of(predictor, events)

    def trial(execution: Literal["any", "one"]) -> Trial:
        declaration = model.declaration.model_copy(update={"execution": Execution(rows=execution)})
        tried = Predictor(replace(model, declaration=declaration))
        return Trial(
            execution=execution, combinations=tuple(try_all(tried, routes, rows.reference, progress))
        )

    trials: list[Trial] = []
    why = model.scorer.unstable
    if why is None and model.declaration.execution.rows == "one":
        why = "the model declared that its rows are scored one at a time"
    if why is None:
        trials.append(trial("any"))
        if trials[-1].stable:
            return _Finding("bit-stable", None, "any", trials)
        why = f"with rows scored together {reason_of(trials[-1])}"
    trials.append(trial("one"))
    if trials[-1].stable:
        return _Finding("row-by-row", why, "one", trials)
    return _Finding("refused", f"even one row at a time {reason_of(trials[-1])}", "one", trials)


def _writable(folder: Path) -> bytes:
    """The model.json as it stands, in a folder that can be written to."""
    if not os.access(folder, os.W_OK):
        hint = "Certify a copy, or see that the directory may be written to."
        raise InputError(f"{folder}: golden rows and the certificate cannot be written there", hint=hint)
    return (folder / MODEL_FILE).read_bytes()


def _write_back(
    model: Model, folder: Path, text: bytes, golden: Sequence[GoldenRow], rows: Literal["any", "one"]
) -> Model:
    """Writes golden rows and the way of execution into model.json, where they are not there already.

    Returns:
        The model as it is declared now.
    """
    before: dict[str, Any] = json.loads(text)
    content = {name: value for name, value in before.items() if name != "golden"}
    if rows != model.declaration.execution.rows:
        content["execution"] = {"rows": rows}
    content["golden"] = [row.model_dump() for row in golden]
    declaration = model.declaration.model_copy(
        update={"execution": Execution(rows=rows), "golden": tuple(golden)}
    )
    after = replace(model, declaration=declaration, sha256=digest(declaration))
    Predictor(after).check_golden_rows()
    if content != before:
        path = folder / MODEL_FILE
        if path.read_bytes() != text:
            raise InputError(f"{path}: the file was changed while it was certified", hint="Certify it again.")
        replace_file(path, declaration_text(content).encode())
    return after
