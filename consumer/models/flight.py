"""The models in flight: what scores a batch, with the watches and the shadow that the settings ask for."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Protocol

from consumer.loop import Scorer
from consumer.models.candidate import LiveTrial
from consumer.models.recent import Recent
from consumer.models.shadow import Shadowed, ShadowTelemetry
from consumer.models.watch import ModelTelemetry, Role, WatchedModel
from consumer.scoring import Models, Serving, Sizer, StreamScorer
from consumer.settings import ConsumerSettings
from consumer.web.settings import Page
from shared.predict import Predictor

# Of the time that one batch may take, what the shadow may have of it in any case.
_SHADOW_SHARE: Final = 1 / 4


class FlightTelemetry(ModelTelemetry, ShadowTelemetry, Protocol):
    """What is told of both models (consumer/operations/telemetry.py)."""


def load_shadow(settings: ConsumerSettings) -> Predictor | None:
    """The challenger, which explains nothing; None when there is none.

    Raises:
        ModelError: It cannot be loaded: a mistake in the command is best seen at once.
    """
    return None if settings.shadow is None else Predictor.load(settings.shadow)


@contextmanager
def scorer_in_flight(
    settings: ConsumerSettings,
    predictor: Predictor,
    challenger: Predictor | None,
    sizer: Sizer,
    telemetry: FlightTelemetry,
) -> Iterator[Scorer]:
    """What scores a batch; the models' directories are watched for as long as the block runs.

    Args:
        settings: Which directories, topics and limits.
        predictor: The model, from `settings.model`.
        challenger: From `load_shadow`.
        sizer: Tells what a topic does not take.
        telemetry: Is told of the models.
    """
    with ExitStack() as stack:
        recent = Recent() if settings.watch_model is not None else None
        scorer = StreamScorer(
            _models(settings, settings.model, predictor, "champion", telemetry, stack, recent),
            settings.output_topic,
            settings.dead_letter_topic,
            sizer,
            recent,
            keep_given=settings.sketch is not None
            or settings.sentinel is not None
            or settings.shows is Page.EVENTS,
        )
        if settings.shadow is None or challenger is None:
            yield scorer
            return
        yield Shadowed(
            scorer,
            _models(settings, settings.shadow, challenger, "shadow", telemetry, stack),
            settings.shadow_topic,
            sizer,
            settings.batch_seconds * _SHADOW_SHARE,
            telemetry,
        )


def _models(
    settings: ConsumerSettings,
    directory: Path,
    predictor: Predictor,
    role: Role,
    telemetry: ModelTelemetry,
    stack: ExitStack,
    recent: Recent | None = None,
) -> Models:
    """A model, or a watch on its directory that ends with the stack."""
    telemetry.model(predictor.model, role)
    if settings.watch_model is None:
        return Serving(predictor)
    watched = WatchedModel(
        directory,
        predictor,
        settings.watch_model,
        role,
        telemetry,
        # A shadow explains nothing, and what it rejects stops nothing.
        explain=settings.explain if role == "champion" else None,
        live=None if recent is None else LiveTrial(recent, settings.reject_limit),
    )
    stack.enter_context(watched.watching())
    return watched
