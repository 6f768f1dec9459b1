"""`python -m batch prove`: the command."""

import time
from collections.abc import Sequence

from batch.proof.gather import work_folder
from batch.proof.models import Models
from batch.proof.prove import prove
from batch.proof.settings import ProveSettings
from batch.proof.show import show
from shared import logs
from shared.errors import ExitCode
from shared.progress import Meter
from shared.settings import load


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Raises:
        TandemError: A model, the brokers, the snapshots or the report's folder cannot be used.
    """
    settings = load(ProveSettings, arguments, "python -m batch prove")
    logs.set_up(settings.log_format, settings.log_level)
    begin = time.monotonic()
    models = Models.load(settings.model)
    with work_folder(settings) as work, Meter("events") as meter:
        proof = prove(settings, models, work, meter)
    if settings.report is not None:
        from batch.report.write import new_report, write_report  # noqa: PLC0415 - only a report needs them

        report = new_report(settings, time.monotonic() - begin, proof=proof)
        write_report(settings.report, report)
    if settings.as_json:
        print(proof.model_dump_json(indent=2))
    else:
        show(proof)
    return ExitCode.DONE if proof.holds else ExitCode.ANSWER_IS_NO
