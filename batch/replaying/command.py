"""`python -m batch replay`: history scored with another model, and which decisions would flip."""

import time
from collections.abc import Sequence

from batch.replaying.replay import replay
from batch.replaying.result import Replay
from batch.replaying.settings import ReplaySettings
from batch.replaying.show import show
from batch.report.write import check_report_folder, new_report, write_report
from shared import logs
from shared.errors import AnswerIsNo, ExitCode
from shared.settings import load
from shared.wording import percent


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Raises:
        TandemError: A model, history or the predictions cannot be used, or too many decisions flip.
    """
    settings = load(ReplaySettings, arguments, "python -m batch replay")
    logs.set_up(settings.log_format, settings.log_level)
    begin = time.monotonic()
    if settings.report is not None:
        check_report_folder(settings.report)
    found = replay(settings)
    if settings.as_json:
        print(found.model_dump_json(indent=2))
    else:
        show(found, settings.top)
    if settings.report is not None:
        write_report(settings.report, new_report(settings, time.monotonic() - begin, replay=found))
    if settings.fail_above is not None:
        _check(found, settings.fail_above)
    return ExitCode.DONE


def _check(found: Replay, most: float) -> None:
    """Sees that no more decisions flip or are lost than may.

    Raises:
        AnswerIsNo: More do, or there is nothing to say it of.
    """
    total = found.compared + found.lost
    if not total:
        raise AnswerIsNo(
            "no event has a decision of what decided before, so that --fail-above cannot be held",
            hint="Replay events that were scored.",
        )
    changed = found.all.flipped + found.lost
    if changed / total > most:
        raise AnswerIsNo(
            f"{changed:,} of {total:,} decisions ({percent(changed / total)}) flip or are lost, more than"
            f" --fail-above {most:g} allows",
            hint="See the segments and customers above, and decide whether the change is meant.",
        )
