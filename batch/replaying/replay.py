"""A replay: reads history once, has both decisions of each event, and counts what flips."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from batch.pipeline import ahead
from batch.replaying.affected import MostAffected
from batch.replaying.decided import Decided, is_model, read_decided
from batch.replaying.history import History, features_of
from batch.replaying.pairs import Pairing, Pairs, WithModel, WithPredictions, named
from batch.replaying.result import Replay
from batch.replaying.segments import SAMPLE, Segments
from batch.replaying.settings import ReplaySettings
from shared.errors import InputError
from shared.predict import Predictor
from shared.progress import Meter
from shared.schema import Reason
from shared.stores.address import shown_address, without_passwords

#: How many kinds of rejections are told of.
_MOST_NAMED: Final = 3
#: What to do about rejections by the tried model alone.
_ADVICE: Final = {
    str(Reason.MISSING_FIELD): 'declare a default or "missing": "nan" for it in model.json, or have it sent'
    " before this model is deployed",
    str(Reason.UNKNOWN_CATEGORY): "train and declare the model with all values that occur",
    str(Reason.OUT_OF_RANGE): "declare bounds that hold for all that occurs",
    str(Reason.UNKNOWN_FIELD): "the model is strict: declare the field, or do not declare strict",
    str(Reason.MODEL_ERROR): "the model fails for them; see python -m batch model certify",
}
_OTHERWISE: Final = "score them with python -m batch score, whose rejected rows say more"


@dataclass(slots=True)
class _Found:
    """What a replay has found so far.

    Attributes:
        segments: Flips by segment.
        affected: The customers whose score changes most.
        events: Events read.
        compared: Events with both decisions.
        newly_rejected: Rejections by the tried model alone, by reason and field.
        newly_scored: Events that only the tried model scores.
    """

    segments: Segments
    affected: MostAffected
    events: int = 0
    compared: int = 0
    newly_rejected: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    newly_scored: int = 0

    def add(self, pairs: Pairs) -> None:
        """Counts a piece of history."""
        self.events += pairs.read
        self.newly_rejected.update(pairs.newly_rejected)
        self.newly_scored += pairs.newly_scored
        if len(pairs):
            self.compared += len(pairs)
            self.segments.add(pairs)
            self.affected.add(pairs)


def replay(settings: ReplaySettings) -> Replay:
    """Scores history with another model.

    Raises:
        TandemError: A model, history or the predictions cannot be used.
    """
    after = Predictor.load(settings.model)
    before = Predictor.load(Path(settings.against)) if is_model(settings.against) else None
    found = _Found(Segments(features_of(settings.by, before, after)), MostAffected(settings.top))
    history = History.of(settings, before, after)
    if before is not None:
        _read(history, WithModel(before, after), found)
        notes = _about_models(before, after)
        return _result(settings, found, named(before), after, notes)
    # Read once the ends of history's topics are fixed, so that it holds what was decided up to there.
    decided = read_decided(settings.against, settings)
    _read(history, WithPredictions(decided, after), found)
    if not (found.compared or found.newly_rejected):
        raise _not_joined(decided, history)
    return _result(
        settings, found, ", ".join(sorted(decided.models)), after, _about_predictions(decided, found)
    )


def _read(history: History, pairing: Pairing, found: _Found) -> None:
    """Reads history, and counts."""
    with Meter("events") as meter:
        for pairs, what, share in ahead(history.pairs(pairing)):
            found.add(pairs)
            meter.add(pairs.read, what, share)
    if not found.events:
        raise InputError(
            f"{', '.join(source.name for source in history.sources)}: there is no event to score",
            hint="See that it is the right topic or folder, and that --where holds for some event.",
        )


def _result(
    settings: ReplaySettings, found: _Found, before: str, after: Predictor, notes: list[str]
) -> Replay:
    total, segments = found.segments.found()
    by_reason: Counter[str] = Counter()
    for (reason, _), count in found.newly_rejected.items():
        by_reason[reason] += count
    return Replay(
        source=", ".join(without_passwords(shown_address(text)) for text in settings.history),
        before=before,
        after=named(after),
        events=found.events,
        compared=found.compared,
        newly_rejected=dict(by_reason.most_common()),
        newly_scored=found.newly_scored,
        all=total,
        segments=segments,
        affected=found.affected.found(),
        notes=[*notes, *_about_rejections(after, found), *_about_rows(settings, found)],
    )


def _not_joined(decided: Decided, history: History) -> InputError:
    if decided.example is None:
        return InputError(
            f"{decided.name}: it holds no predictions", hint="Name where the predictions of these events are."
        )
    return InputError(
        f"{decided.name}: no event of {history.sources[0].place} has a prediction there, whose positions"
        f" are such as {decided.example}",
        hint="Predictions are joined by position: name the events that they are of.",
    )


def _about_models(before: Predictor, after: Predictor) -> list[str]:
    ours, theirs = before.model, after.model
    if ours.sha256 == theirs.sha256:
        return [f"Both are the same model, {named(after)}: nothing can flip."]
    if ours.threshold != theirs.threshold:
        return [
            f"The thresholds differ: {ours.threshold:g} of {ours.id}, {theirs.threshold:g} of {theirs.id}."
        ]
    return []


def _about_predictions(decided: Decided, found: _Found) -> list[str]:
    notes = []
    if len(decided.models) > 1:
        made = ", ".join(f"{count:,} by {model}" for model, count in decided.models.most_common())
        notes.append(f"The predictions were made by several models: {made}.")
    if found.newly_scored:
        notes.append(
            f"Of events that the tried model scores, {found.newly_scored:,} have no prediction in"
            f" {decided.name}: rejected, not scored yet, or replayed dead letters."
        )
    if decided.repeated:
        notes.append(
            f"Predictions for a position that has one already: {decided.repeated:,}. The first counts."
        )
    return notes


def _about_rejections(after: Predictor, found: _Found) -> list[str]:
    """What to do about each of the most frequent rejections by the tried model alone."""
    return [
        f"Rejected by {after.model.id} only, for {reason}{'' if name is None else f' of {name}'}, {count:,}:"
        f" {_ADVICE.get(reason, _OTHERWISE)}."
        for (reason, name), count in sorted(
            found.newly_rejected.items(), key=lambda item: (-item[1], str(item[0]))
        )[:_MOST_NAMED]
    ]


def _about_rows(settings: ReplaySettings, found: _Found) -> list[str]:
    notes = []
    if settings.where is not None:
        notes.append(f"Only events for which this holds: {settings.where}")
    if settings.sample is not None:
        notes.append(f"Only a sample of the events: {settings.sample:g} of them.")
    if found.compared > SAMPLE:
        notes.append(f"Ranges of numbers and frequent texts are those of the first {SAMPLE:,} events.")
    return notes
