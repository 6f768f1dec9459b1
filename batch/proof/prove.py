"""A proof from start to end: gather, judge each partition, add up; with --resume, what is done stays done."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pydantic import ValidationError

from batch.folder import LocalFolder
from batch.proof.evidence import Evidence
from batch.proof.explaining import Explainer
from batch.proof.gather import gather
from batch.proof.judge import PartitionJudge
from batch.proof.models import Models
from batch.proof.result import Frozen, Proof
from batch.proof.rows import AgainstRows, BatchSide, RowsResult
from batch.proof.settings import ProveSettings
from batch.proof.tally import Facts, Tally, proof_of
from batch.report.document import Environment
from shared.errors import InputError
from shared.ledger import LedgerError
from shared.progress import Meter
from shared.stores.address import shown_address

#: The folder of what was found, a file for each partition.
_FOUND: Final = "found"
# Hexadecimal digits that tell judgings apart.
_DIGITS: Final = 16
#: The folder in which events and rows are laid by, to be joined.
_ROWS: Final = "rows"
# What the meter shows when all is gathered: about as much of the time as judging takes.
_GATHERED: Final = 0.5
# What it shows when all is judged, where rows are still to be read.
_JUDGED: Final = 0.75


class Found(Frozen):
    """What was found in one partition, as it is kept for --resume.

    Attributes:
        judged_by: What the judging depended on, as a digest; another proof does it anew.
        tally: What was counted.
        explained: The samples of the explainer.
    """

    judged_by: str
    tally: Tally
    explained: dict[str, str]


def prove(settings: ProveSettings, models: Models, work: Path, meter: Meter) -> Proof:
    """Gathers the evidence into a work folder and judges it.

    Args:
        settings: What is proved.
        models: The models at hand.
        work: The work folder, from `work_folder`; what is done there already is not done again.
        meter: Is told of progress.

    Raises:
        TandemError: The brokers or the snapshots cannot be used, or the disk is full.
    """
    judged_by = _judged_by(settings, models)
    # What was laid by of events that were judged otherwise is of no use.
    laid = work / _ROWS / judged_by[:_DIGITS] / settings.on
    if settings.rows is not None:
        # Before anything is gathered, which takes long.
        _against(settings, models, {}, laid, 0).check()
    evidence = gather(settings, work, meter, _GATHERED)
    rows = None
    if settings.rows is not None:
        rows = _against(settings, models, _topics(evidence), laid, evidence.records)
    folder = LocalFolder(work / _FOUND)
    folder.create()
    judging = _Judging(settings, models, evidence, folder, meter, rows, judged_by)
    found = [judging.partition(partition) for partition in evidence.partitions]
    beside = None if rows is None else rows.result(evidence.partitions, meter, _JUDGED)
    events = sum(one.tally.ledger.events for one in found)
    if beside is not None and sum(beside.counts.values()) != events:
        raise LedgerError(f"{sum(beside.counts.values())} of {events} events were laid beside the rows.")
    proof = proof_of(
        [one.tally for one in found],
        models,
        Facts(
            _topics(evidence),
            sample=settings.sample,
            rows=None if beside is None else _certified(settings, beside),
            pending=evidence.plan.pending,
            foreign=sum(evidence.foreign.values()),
            examples=settings.examples,
            notes=evidence.notes,
        ),
    )
    return proof.model_copy(update=_explained(found) if beside is None else _beside(settings, proof, beside))


def _against(
    settings: ProveSettings, models: Models, topics: Mapping[str, str], folder: Path, events: int
) -> AgainstRows:
    """The rows of the batch side, when it is not the topic's own events."""
    return AgainstRows(
        BatchSide(settings.rows or "", settings.on, settings.delimiter),
        models=models,
        topics=topics,
        folder=folder,
        events=events,
        examples=settings.examples,
    )


def _certified(settings: ProveSettings, beside: RowsResult) -> dict[str, Any]:
    """What the certificate says of the rows, and of what was found beside them."""
    return {
        "digest": beside.digest,
        "on": settings.on,
        "delimiter": settings.delimiter,
        "counts": {str(found): count for found, count in beside.counts.items()},
        "without_event": beside.rows_without_event,
    }


def _explained(found: Sequence[Found]) -> dict[str, Any]:
    """What the events of a class have in common, on the topic."""
    explainer = Explainer()
    for one in found:
        explainer.merge(Explainer.from_json(one.explained))
    return {"explaining": explainer.explain()}


def _beside(settings: ProveSettings, proof: Proof, beside: RowsResult) -> dict[str, Any]:
    """What the rows of the batch side change in a proof: all but the books, which are the topic's."""
    told = {example.position for example in beside.examples}
    # An event may be of another class beside its row.
    of_topic = [one for one in proof.examples if one.position not in told and beside.counts[one.found]]
    return {
        "rows": shown_address(settings.rows or ""),
        "rows_without_event": beside.rows_without_event,
        "counts": beside.counts,
        "matrix": beside.matrix,
        "examples": beside.examples + of_topic,
        "explaining": beside.explaining,
        "features": beside.features,
        "notes": [*proof.notes, *beside.notes],
    }


class _Judging:
    """Judges one partition after the other.

    Args:
        settings: What is proved.
        models: The models at hand.
        evidence: What was gathered.
        folder: Where what was found is kept.
        meter: Is told of progress.
        rows: The rows of the batch side, beside which the events are laid later; None without any.
        judged_by: What the judging depends on, as a digest.
    """

    def __init__(
        self,
        settings: ProveSettings,
        models: Models,
        evidence: Evidence,
        folder: LocalFolder,
        meter: Meter,
        rows: AgainstRows | None,
        judged_by: str,
    ) -> None:
        self._settings, self._models, self._evidence = settings, models, evidence
        self._folder, self._meter, self._rows = folder, meter, rows
        self._judged_by = judged_by
        self._done, self._total = 0, max(1, evidence.records)

    def partition(self, partition: int) -> Found:
        """What is found in a partition, or what was found there before."""
        name = f"{partition}.json"
        found = self._before(name)
        if found is None or not (self._rows is None or self._rows.laid(partition)):
            found = self._judge(partition)
            with self._folder.new_file(name) as file:
                file.write(found.model_dump_json().encode() + b"\n")
        else:
            self._tell(found.tally.ledger.events)
        return found

    def _before(self, name: str) -> Found | None:
        path = self._folder.path / name
        if not path.exists():
            return None
        try:
            found = Found.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise InputError(
                f"{path}: cannot be read: {error}", hint="Remove it, and go on with --resume."
            ) from error
        return found if found.judged_by == self._judged_by else None

    def _judge(self, partition: int) -> Found:
        settings, evidence = self._settings, self._evidence
        covered, topics = evidence.range_of(partition), _topics(evidence)
        judge = PartitionJudge(self._models, topics, sample=settings.sample, examples=settings.examples)
        explainer = Explainer(evidence.records)
        laid = None if self._rows is None else self._rows.lay(partition)
        for window in evidence.windows(partition):
            judged = judge.judge(window)
            for scored in judged.scored:
                explainer.add(
                    scored.predictor.model.schema,
                    partition,
                    judged.offsets[scored.rows],
                    judged.codes[scored.rows],
                    scored.inputs,
                    judged.models(scored.rows),
                )
            if laid is not None:
                laid.add(judged)
            self._tell(len(judged.codes))
            # Arrow keeps what it has freed for itself.
            pa.default_memory_pool().release_unused()
        if laid is not None:
            laid.end()
        tally = judge.tally(
            partition,
            covered.start,
            covered.end,
            replayed=evidence.replayed(partition),
            of_no_event=evidence.beyond(partition),
        )
        return Found(judged_by=self._judged_by, tally=tally, explained=explainer.to_json())

    def _tell(self, events: int) -> None:
        self._done += events
        end = 1.0 if self._rows is None else _JUDGED
        share = _GATHERED + (end - _GATHERED) * min(1.0, self._done / self._total)
        self._meter.add(events, "judging", share)


def _topics(evidence: Evidence) -> dict[str, str]:
    return {str(role): topic for role, topic in evidence.plan.topics.items()}


def _judged_by(settings: ProveSettings, models: Models) -> str:
    told = {
        "models": sorted([model.id, model.sha256] for model in models),
        "sample": settings.sample,
        "examples": settings.examples,
        "libraries": Environment.this().libraries,
    }
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
