"""Scoring pieces by Spark: each is a job of one task, which writes its parts itself and says what they are.

Inputs, model and output folder must be under the same paths on every machine: a shared file system, or for
inputs and output an object store.
"""

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from batch.folder import Folder, LocalFolder, folder_at
from batch.job import Job, Piece
from batch.pieces import FinishedPart, PieceScorer, Progress, Report
from batch.workers import Pending
from shared import errors
from shared.errors import ConfigurationError, InputError, TandemError
from shared.predict import Predictor

# Jobs that wait for Spark at once; Spark itself gives its cores to as many as it has.
_JOBS: Final = 256
_MESSAGES: Final = pa.schema([pa.field("kind", pa.string()), pa.field("content", pa.string())])


def check_sources(job: Job) -> None:
    """Refuses what Spark's tasks cannot read.

    Raises:
        ConfigurationError: A source can be read only once, or only so many rows are wanted.
    """
    if fleeting := next((source for source in job.sources if not source.resumable), None):
        raise ConfigurationError(
            f"--engine spark: {fleeting.name} comes from a database, which only one process can read",
            hint="Score it with --engine local.",
        )
    if job.selection.limit is not None:
        raise ConfigurationError(
            "--engine spark: --limit needs the pieces scored one after the other",
            hint="Score with --engine local, or without --limit.",
        )


def score_by_spark(job: Job, folder: Folder, pending: Pending, report: Report, master: str | None) -> None:
    """Scores all pieces; which machine has which changes no byte of the results.

    Args:
        job: The run.
        folder: Where the parts go.
        pending: The pieces, each with the last part of it that is finished already.
        report: Told of progress and of finished parts.
        master: Spark's master; None: what spark-submit gives, or this machine.

    Raises:
        TandemError: A piece cannot be scored, or Spark cannot be used.
    """
    if not pending:
        return
    session, started = _session(master)
    try:
        with ThreadPoolExecutor(min(len(pending), _JOBS), "spark") as pool:
            futures = [pool.submit(_run, session, job, piece, done) for piece, done in pending]
            try:
                for future in as_completed(futures):
                    for kind, content in future.result():
                        _hand_on(kind, content, report)
            except BaseException:
                for future in futures:
                    future.cancel()
                session.sparkContext.cancelAllJobs()
                raise
    finally:
        if started:
            session.stop()
    if isinstance(folder, LocalFolder):
        folder.remove_unfinished()


def _session(master: str | None) -> tuple[Any, bool]:
    """Spark's session, and whether it was started here."""
    try:
        from pyspark.errors import PySparkRuntimeError  # noqa: PLC0415 - an extra
        from pyspark.sql import SparkSession  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError(
            "--engine spark: pyspark is not installed", hint="Install tandem-scorer[spark]."
        ) from error
    # Of pandas, which nothing here uses; and each closed connection is a line.
    warnings.filterwarnings("ignore", category=FutureWarning, module="pyspark")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    if (active := SparkSession.getActiveSession()) is not None:
        return active, False
    builder: Any = SparkSession.builder
    builder = builder.appName("tandem").config("spark.ui.showConsoleProgress", "false")
    if master is not None:
        builder = builder.master(master)
    try:
        session = builder.getOrCreate()
    except PySparkRuntimeError as error:
        raise ConfigurationError(
            "--engine spark: Spark did not start: most often because there is no Java",
            hint="Install Java 17 or newer, or let JAVA_HOME name it.",
        ) from error
    context = session.sparkContext
    context.setLogLevel("OFF")
    if context.master.startswith("local"):
        context.pythonExec = sys.executable
    return session, True


def _run(session: Any, job: Job, piece: Piece, done: FinishedPart | None) -> list[tuple[str, str]]:
    task: Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]] = partial(_task, job, piece, done)
    from pyspark.errors import PySparkException  # noqa: PLC0415 - an extra

    # A function, not a partial: Spark looks at its signature.
    frame = session.range(0, 1, 1, 1).mapInArrow(
        lambda batches: task(batches),  # noqa: PLW0108 - as said
        "kind string, content string",
    )
    try:
        return [(row.kind, row.content) for row in frame.collect()]
    except PySparkException as error:
        said = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise InputError(
            f"Spark could not run piece {piece.number}: {said[0]}",
            hint="See Spark's own log of the task; go on with --resume.",
        ) from error


def _task(
    job: Job, piece: Piece, done: FinishedPart | None, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Scores a piece where Spark runs it; what came of it goes back as rows of text."""
    for _ in batches:
        pass
    messages: list[tuple[str, str]] = []

    def note(message: FinishedPart | Progress) -> None:
        if isinstance(message, FinishedPart):
            messages.append(("part", message.model_dump_json()))
        else:
            messages.append(("progress", json.dumps(asdict(message))))

    try:
        folder = folder_at(job.output)
        if isinstance(folder, LocalFolder):
            # Spark may run a task twice, even at once; each attempt has unfinished files of its own.
            folder.attempt = f".{os.uname().nodename}.{os.getpid()}"
        predictor = _predictor(job)
        PieceScorer(job, predictor, folder, lambda: False, overlapped=False).score(piece, note, done)
    except TandemError as error:
        content = {"type": type(error).__name__, "message": error.message, "hint": error.hint}
        messages.append(("error", json.dumps(content)))
    kinds, contents = zip(*messages, strict=True) if messages else ((), ())
    columns = [pa.array(kinds, pa.string()), pa.array(contents, pa.string())]
    yield pa.RecordBatch.from_arrays(columns, schema=_MESSAGES)


def _predictor(job: Job) -> Predictor:
    # By what the artifact is now: a worker of Spark's outlives a run.
    stamp = max(path.stat().st_mtime_ns for path in [job.model, *job.model.glob("*")])
    return _loaded(str(job.model), job.explain, stamp)


@lru_cache(maxsize=1)
def _loaded(model: str, explain: int | None, stamp: int) -> Predictor:  # noqa: ARG001 - a part of the key
    return Predictor.load(Path(model), explain=explain)


def _hand_on(kind: str, content: str, report: Report) -> None:
    if kind == "part":
        report(FinishedPart.model_validate_json(content))
    elif kind == "progress":
        report(Progress(**json.loads(content)))
    else:
        said = json.loads(content)
        raise getattr(errors, said["type"], InputError)(said["message"], hint=said["hint"])
