"""Every kind of malformed event is rejected for the reason that it is aimed at."""

import itertools
from pathlib import Path

import pytest

from producer.malformed import KINDS, kinds_for, malformed_messages, mixed
from producer.message import Message
from shared.errors import ConfigurationError
from shared.events import MAX_EVENT_BYTES, EventParser
from shared.models.directory import Model
from shared.predict import Predictor
from shared.schema import Input, Reason, Schema

MODELS = Path(__file__).resolve().parents[3] / "models"
#: A model with everything that a kind could need, and strict.
STRICT = Schema(
    key="id",
    strict=True,
    inputs=(
        Input(name="amount", type="number", maximum=-5),
        Input(name="age", type="integer", default=3),
        Input(name="plan", type="category", values=("a", "b")),
        Input(name="note", type="string"),
    ),
)
SOUND = {"id": 7, "amount": -6.5, "age": 4, "plan": "a", "note": "é"}


@pytest.fixture(scope="module", params=["threshold", "churn", "churn-linear"])
def predictor(request: pytest.FixtureRequest) -> Predictor:
    """Each shipped model."""
    return Predictor.load(MODELS / request.param)


def values(model: Model, kind: str, count: int) -> list[bytes | None]:
    messages = malformed_messages(model, {kind: KINDS[kind]}, seed=1)
    return [message.value for message in itertools.islice(messages, count)]


def test_each_kind_is_rejected_for_its_reason(predictor: Predictor) -> None:
    for name, kind in kinds_for(predictor.model.schema).items():
        count = 3 if name == "too-large" else 200
        outcome = predictor.score_json(values(predictor.model, name, count))
        assert {rejection.reason for rejection in outcome.rejections} == {kind.reason}, name
        assert not len(outcome.rows), name


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("vary", [0.0, 0.3, 0.5, 0.999])
def test_each_kind_suits_a_strict_model_with_inputs_of_every_type(name: str, vary: float) -> None:
    kind = kinds_for(STRICT)[name]
    parsed = EventParser(STRICT).parse([kind.make(SOUND, STRICT, vary)])
    assert [rejection.reason for rejection in parsed.rejections] == [kind.reason]


def test_the_kinds_cover_every_reason_that_an_event_can_have() -> None:
    of_rows_or_models = {Reason.RAGGED_ROW, Reason.MODEL_ERROR}
    assert {kind.reason for kind in KINDS.values()} == set(Reason) - of_rows_or_models


def test_a_too_large_event_is_only_just_too_large() -> None:
    made = KINDS["too-large"].make(SOUND, STRICT, 0.0)
    assert made is not None
    assert MAX_EVENT_BYTES < len(made) < MAX_EVENT_BYTES + 4096


def test_a_kind_that_a_model_cannot_have_is_not_offered(predictor: Predictor) -> None:
    schema = predictor.model.schema
    categories = any(feature.type == "category" for feature in schema.features)
    assert ("unknown-category" in kinds_for(schema)) == categories
    assert "unknown-field" not in kinds_for(schema)


@pytest.mark.parametrize("name", ["unknown-field", "nonsense"])
def test_asking_for_a_kind_that_is_not_there_names_those_that_are(predictor: Predictor, name: str) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        kinds_for(predictor.model.schema, [name])
    assert "tombstone" in str(caught.value.hint)


def test_all_kinds_come_in_turn_and_the_same_for_a_seed(predictor: Predictor) -> None:
    model, kinds = predictor.model, kinds_for(predictor.model.schema)
    del kinds["too-large"]
    one, again, other = (
        list(itertools.islice(malformed_messages(model, kinds, seed), 2 * len(kinds))) for seed in (1, 1, 2)
    )
    assert one == again
    assert one != other
    reasons = {rejection.reason for rejection in predictor.score_json([m.value for m in one]).rejections}
    assert reasons == {kind.reason for kind in kinds.values()}


def test_a_share_of_all_events_is_malformed_and_no_sound_one_is_lost() -> None:
    sound = [Message(None, str(number).encode()) for number in range(20_000)]
    bad = Message(None, None)
    sent = list(mixed(sound, itertools.repeat(bad), 0.2, seed=3))
    assert [message for message in sent if message is not bad] == sound
    assert sent.count(bad) / len(sent) == pytest.approx(0.2, abs=0.01)
    assert sent == list(mixed(sound, itertools.repeat(bad), 0.2, seed=3))
    assert list(mixed(sound, itertools.repeat(bad), 0.0, seed=3)) == sound
