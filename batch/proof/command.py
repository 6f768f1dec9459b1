"""`python -m batch prove`: the command."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from batch.advice.advise import Question, advise
from batch.advice.result import Advice
from batch.advice.settings import Wishes
from batch.advice.show import show as show_advice
from batch.proof.gather import work_folder
from batch.proof.models import Models
from batch.proof.plan import Role
from batch.proof.prove import prove
from batch.proof.result import Proof
from batch.proof.settings import ProveSettings
from batch.proof.show import show
from batch.report.write import check_report_folder, new_report, write_report
from batch.snapshots import sources_of_snapshot
from shared import logs
from shared.errors import ExitCode, TandemError
from shared.progress import Meter
from shared.settings import load

logger = logging.getLogger(__name__)

# Rows that are read at once.
_BATCH_ROWS: Final = 16_384


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Raises:
        TandemError: A model, the brokers, the snapshots or the report's folder cannot be used.
    """
    settings = load(ProveSettings, arguments, "python -m batch prove")
    logs.set_up(settings.log_format, settings.log_level)
    begin = time.monotonic()
    if settings.report is not None:
        check_report_folder(settings.report)
    models = Models.load(settings.model)
    with work_folder(settings) as work:
        with Meter("records") as meter:
            proof = prove(settings, models, work, meter)
        advice = _advice(settings, models, proof, work) if settings.advise else None
    if settings.as_json:
        print(proof.model_dump_json(indent=2))
    else:
        if advice is not None:
            show_advice(advice)
            print()
        show(proof)
    if settings.report is not None:
        report = new_report(settings, time.monotonic() - begin, proof=proof, advice=advice)
        write_report(settings.report, report)
    return ExitCode.DONE if proof.holds else ExitCode.ANSWER_IS_NO


def _advice(settings: ProveSettings, models: Models, proof: Proof, work: Path) -> Advice | None:
    """Batch or real time, from the events that were proved, with the model that scored most of them.

    The proof stands without it: why there is none is said.
    """
    known = [one for one in proof.models if one.known]
    if not known:
        logger.warning("No advice is given: no model that scored these events is at hand.")
        return None
    most = max(known, key=lambda one: one.predictions)
    model = models.model(most.id, most.sha256)
    assert model is not None  # noqa: S101 - it is known
    predictor = models.predictor(model)
    folders = [settings.events] if settings.events else sorted((work / Role.EVENTS).iterdir())
    sources = [source for folder in folders for source in sources_of_snapshot(folder, predictor, _BATCH_ROWS)]
    question = Question(proof.topics[Role.EVENTS], sources, models.directory(model), predictor, Wishes())
    try:
        with Meter("events") as meter:
            return advise(question, meter, latency=proof.latency)
    except TandemError as error:
        logger.warning("No advice is given: %s", error)
        return None
