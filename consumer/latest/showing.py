"""Shows a few of the events that a worker answered: kept on the loop's thread, formed on one of its own.

Why an event has its score, and what of it can be printed, costs more than keeping it. That takes at most one
part in a hundred of the time, however slow the model is to explain itself, and nobody waits for it: whoever
asks for a snapshot, for health among others, is given what was formed last. What is shown stays the same
until there is something new.
"""

import codecs
import hmac
import logging
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol, Self

import numpy as np

from consumer.latest.events import (
    MOST_LETTERS,
    MOST_PREDICTIONS,
    Contributed,
    LatestEvents,
    LatestLetter,
    LatestPrediction,
)
from consumer.latest.picked import MOST_BYTES, Answer, Letter, newest, refused
from consumer.loop import Telemetry
from consumer.passing_on import PassingOn
from consumer.scoring import Scored
from consumer.settings import ConsumerSettings
from consumer.web.settings import Page
from shared.explanations import largest
from shared.frame import MISSING_CODE, Frame
from shared.models.base import NotExplainableError
from shared.models.directory import Model
from shared.predict import Predictor
from shared.schema import MEANINGS, Input, Reason
from shared.visible import visible

logger = logging.getLogger(__name__)

#: How many inputs of a prediction are shown.
MOST_INPUTS: Final = 3
# Characters of a value, an id or a key, and of a sentence.
_MOST_SHORT: Final = 80
_MOST_DETAIL: Final = 400
# Seconds from one forming to the next, a little less than from one snapshot to the next; how many times as
# long as it took it rests; seconds that it rests when it failed, and for which no second fault is told of.
_PAUSE: Final = 0.9
_REST_TIMES: Final = 99
_FAILED_PAUSE: Final = 60.0
# Seconds to wait for what is being formed at the end; what takes longer is left behind with its thread.
_PATIENCE: Final = 1.0
_MISSING: Final = "missing"
_NUMBERS_EXACT_TO: Final = 2.0**53


class ShowTelemetry(Protocol):
    """What shows the latest events (consumer/operations/telemetry.py)."""

    def show(self, latest: Callable[[], LatestEvents | None]) -> None:
        """Shows the latest events from now on, asked for on any thread, which waits for them."""


class Showing(PassingOn):
    """Passes on what the loop tells, and shows the latest of what is committed; leave it through `with`.

    Args:
        telemetry: Who is told besides.
        masked: Whether to show no customer's id, and of an event only the inputs that mattered.
        clock: The monotonic clock, in seconds.
    """

    def __init__(
        self, telemetry: Telemetry, *, masked: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(telemetry)
        self._clock = clock
        self._teller = _Teller(masked=masked)
        # Guards what is kept until it is formed.
        self._lock = threading.Lock()
        self._answers: list[Answer] = []
        self._letters: dict[Reason, list[Letter]] = {}
        self._silent_until = -math.inf
        # What is formed: the letters by their reason, and all as it is handed over, replaced as a whole.
        self._formed_letters: dict[Reason, list[LatestLetter]] = {}
        self._latest = LatestEvents(predictions=[], letters=[])
        self._kept, self._ending = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="latest-events", daemon=True)

    def committed(self, batch: Sequence[Scored], polled_at: float) -> None:
        """Keeps a few events of a batch that is committed; whatever fails here harms no prediction."""
        super().committed(batch, polled_at)
        try:
            self._keep(batch)
        except Exception:
            now = self._clock()
            if now >= self._silent_until:
                self._silent_until = now + _FAILED_PAUSE
                logger.exception("The page is not shown the events of a batch; predictions are not affected")

    def _keep(self, batch: Sequence[Scored]) -> None:
        now = time.time_ns() // 1_000_000
        answers, letters = newest(batch, now), refused(batch, now)
        if not answers and not letters:
            return
        with self._lock:
            self._answers = [*answers, *self._answers][:MOST_PREDICTIONS]
            for reason, some in letters.items():
                self._letters[reason] = [*some, *self._letters.get(reason, ())][:MOST_LETTERS]
        self._kept.set()

    def latest(self) -> LatestEvents:
        """The latest events, as they were formed last; it is not to be changed."""
        return self._latest

    # --- forming, on a thread of its own ------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._kept.set()
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        while not self._ending.is_set():
            self._kept.wait()
            self._kept.clear()
            if not self._ending.is_set():
                self._ending.wait(self.form())

    def form(self) -> float:
        """Forms what is new; whatever fails here harms neither a snapshot nor the predictions.

        Returns:
            For how many seconds nothing more is to be formed.
        """
        began = time.thread_time()
        try:
            self._form()
        except BaseException:  # a panic in a library's Rust is no Exception
            logger.exception("The page could not be given the latest events; predictions are not affected")
            return _FAILED_PAUSE
        return max(_PAUSE, _REST_TIMES * (time.thread_time() - began))

    def _form(self) -> None:
        with self._lock:
            # What is formed is let go of: a row holds all of its batch's.
            answers, self._answers = self._answers, []
            letters, self._letters = self._letters, {}
        predictions = self._latest["predictions"]
        if answers:
            predictions = [*self._teller.predictions(answers), *predictions][:MOST_PREDICTIONS]
        for reason, some in letters.items():
            new = [self._teller.letter(letter) for letter in some]
            self._formed_letters[reason] = [*new, *self._formed_letters.get(reason, ())][:MOST_LETTERS]
        shown = [letter for some in self._formed_letters.values() for letter in some]
        shown.sort(key=lambda letter: letter["committed"], reverse=True)
        self._latest = LatestEvents(predictions=predictions, letters=shown)


class _Teller:
    """Forms what is shown of events.

    Args:
        masked: Whether to show no customer's id, and of an event only the inputs that mattered.
    """

    def __init__(self, *, masked: bool) -> None:
        self._masked = masked
        self._key = secrets.token_bytes(32)
        self._predictor: Predictor | None = None
        #: Digests of the models that failed to explain, which is said once.
        self._said: set[str] = set()

    def predictions(self, answers: Sequence[Answer]) -> list[LatestPrediction]:
        """What is shown of predictions."""
        told = []
        for model in {answer.given.model.sha256: answer.given.model for answer in answers}.values():
            some = [answer for answer in answers if answer.given.model.sha256 == model.sha256]
            told += list(zip(some, self._inputs(model, some), strict=True))
        inputs = {id(answer): shown for answer, shown in told}
        return [self._prediction(answer, inputs[id(answer)]) for answer in answers]

    def _prediction(self, answer: Answer, inputs: list[Contributed]) -> LatestPrediction:
        hidden = self._masked or answer.event is None
        return LatestPrediction(
            position=answer.place.position,
            customer=self._mark(answer.customer) if self._masked else _short(str(answer.customer)),
            event=None if hidden else _short(str(answer.event)),
            score=answer.score,
            decision=answer.decision,
            model=answer.given.model.id,
            stamped=answer.place.stamped,
            committed=answer.place.committed,
            inputs=inputs,
        )

    def _mark(self, customer: int | str | None) -> str:
        """A mark of a customer that nobody can look up: its key is in no other process."""
        return f"#{hmac.digest(self._key, str(customer).encode(), 'sha256').hex()[:6]}"

    def _inputs(self, model: Model, answers: Sequence[Answer]) -> list[list[Contributed]]:
        """The inputs of each prediction of a model that contributed most."""
        rows = [answer.given.frame.slice(answer.row, answer.row + 1) for answer in answers]
        features = model.schema.features
        places, added = self._explained(model, _stacked(rows))
        return [
            [
                Contributed(
                    input=features[place].name,
                    value=_value(features[place], row.columns[features[place].name][0]),
                    contribution=amount if amount is not None and math.isfinite(amount) else None,
                )
                for place, amount in zip(of_row, amounts, strict=True)
            ]
            for row, of_row, amounts in zip(rows, places, added, strict=True)
        ]

    def _explained(
        self, model: Model, frame: Frame
    ) -> tuple[Sequence[Sequence[int]], Sequence[Sequence[float | None]]]:
        """Of each row the inputs to show, and what they contributed; without that, those declared first."""
        if self._predictor is None or self._predictor.model.sha256 != model.sha256:
            self._predictor = Predictor(model)
        try:
            found = largest(self._predictor.explain_frame(frame), MOST_INPUTS)
        except Exception as error:  # noqa: BLE001 - a model may raise anything; the event is shown without
            if not isinstance(error, NotExplainableError) and model.sha256 not in self._said:
                self._said.add(model.sha256)
                logger.warning(
                    "%s could not say why events have their scores; the page shows them without: %s: %s",
                    model.id,
                    type(error).__name__,
                    error,
                )
            first = list(range(min(MOST_INPUTS, len(model.schema.features))))
            return [first] * frame.count, [[None] * len(first)] * frame.count
        return found.inputs.tolist(), found.contributions.tolist()

    def letter(self, letter: Letter) -> LatestLetter:
        """What is shown of a dead letter."""
        rejection, masked = letter.rejection, self._masked
        # The name of a field that is not declared is the event's.
        nameless = rejection.field is None or (masked and rejection.reason is Reason.UNKNOWN_FIELD)
        hidden = masked or letter.value is None
        return LatestLetter(
            position=letter.place.position,
            reason=rejection.reason.value,
            field=None if nameless else _short(str(rejection.field)),
            detail=MEANINGS[rejection.reason] if masked else _short(rejection.detail, _MOST_DETAIL),
            model=letter.model,
            stamped=letter.place.stamped,
            committed=letter.place.committed,
            size=letter.size,
            key=None if masked or letter.key is None else _short(visible(letter.key)),
            value=None if hidden else _beginning(letter),
            cut=not hidden and letter.size > MOST_BYTES,
        )


def _stacked(rows: Sequence[Frame]) -> Frame:
    """Frames of one row each as one frame."""
    columns = {name: np.concatenate([row.columns[name] for row in rows]) for name in rows[0].columns}
    return Frame(len(rows), columns)


def _value(declared: Input, cell: Any) -> str:
    """An input's value, as a frame has it, as a short text."""
    if declared.type == "category":
        return _MISSING if cell == MISSING_CODE else _short((declared.values or ())[cell])
    if declared.type == "string":
        return _short(str(cell))
    number = float(cell)
    if math.isnan(number):
        return _MISSING
    if declared.type == "boolean":
        return "true" if number else "false"
    return str(int(number)) if number.is_integer() and abs(number) <= _NUMBERS_EXACT_TO else repr(number)


def _short(text: str, most: int = _MOST_SHORT) -> str:
    """A text that is safe to print, cut to so many characters."""
    told = visible(text[: most + 1])
    return told if len(told) <= most else f"{told[: most - 1]}…"


def _beginning(letter: Letter) -> str:
    """The kept bytes as text; of a character that the cut went through nothing."""
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    return visible(decoder.decode(letter.value or b"", final=letter.size <= MOST_BYTES))


@contextmanager
def showing(settings: ConsumerSettings, shown: ShowTelemetry, telemetry: Telemetry) -> Iterator[Telemetry]:
    """Who the loop is to tell how it goes; where the page shows events, the latest are until the block ends.

    Args:
        settings: What the page shows, and whether masked.
        shown: Shows them.
        telemetry: Who is told in any case.
    """
    if settings.shows is not Page.EVENTS:
        yield telemetry
        return
    with Showing(telemetry, masked=settings.mask_customers) as latest:
        shown.show(latest.latest)
        yield latest
