"""`python -m batch advise`: whether recorded events need real time, or a batch, and what each costs."""

import time
from collections.abc import Sequence

from batch.advice.advise import Question, advise
from batch.advice.latency import predictions_in
from batch.advice.result import Advice
from batch.advice.settings import AdviseSettings
from batch.advice.show import show
from batch.databases.address import is_database
from batch.inputs import check_places, sources_of
from batch.report.write import check_report_folder, new_report, write_report
from batch.sources import Reading, Scorable
from batch.topic_rows import sources_of_topic, topics_among
from shared import logs
from shared.errors import ConfigurationError, ExitCode
from shared.predict import Predictor
from shared.progress import Meter
from shared.schema import OCCURRED_AT
from shared.settings import load
from shared.stores.address import shown_address, without_passwords


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Raises:
        TandemError: The model or a source cannot be read, or the report cannot be written.
    """
    settings = load(AdviseSettings, arguments, "python -m batch advise")
    logs.set_up(settings.log_format, settings.log_level)
    begin = time.monotonic()
    if settings.report is not None:
        check_report_folder(settings.report)
    advice = advice_on(settings)
    if settings.as_json:
        print(advice.model_dump_json(indent=2))
    else:
        show(advice)
    if settings.report is not None:
        write_report(settings.report, new_report(settings, time.monotonic() - begin, advice=advice))
    return ExitCode.DONE


def advice_on(settings: AdviseSettings) -> Advice:
    """The advice that a command line asks for.

    Raises:
        TandemError: The model or a source cannot be read.
    """
    predictor = Predictor.load(settings.model)
    question = Question(
        ", ".join(map(shown_address, dict.fromkeys(settings.source))),
        sources_in(settings, predictor),
        settings.model,
        predictor,
        settings,
    )
    predictions = None if settings.predictions is None else predictions_in(settings.predictions, settings)
    with Meter("events") as meter:
        return advise(question, meter, predictions=predictions)


def sources_in(settings: AdviseSettings, predictor: Predictor) -> list[Scorable]:
    """The topics, snapshots and files that a command line names, each once.

    Raises:
        TandemError: One cannot be read, or two of them hold the same events.
    """
    for text in settings.source:
        if is_database(text):
            raise ConfigurationError(
                f"SOURCE: {without_passwords(text)} is a database",
                hint=f"Save its rows with their {OCCURRED_AT} to a file, and name that.",
            )
    topics, stored = topics_among(settings.source)
    found: list[Scorable] = [source for topic in topics for source in sources_of_topic(settings, topic)]
    reading = Reading(settings.ignore_case, settings.delimiter)
    found += sources_of(stored, predictor, reading) if stored else []
    # A topic and a snapshot of it hold the same events.
    check_places(found)
    return found
