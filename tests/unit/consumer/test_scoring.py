"""Events of a partition become predictions and dead letters."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from consumer.scoring import Serving, StreamScorer
from shared import dead_letters
from shared.kafka.columns import NewRecords
from shared.ledger import LedgerError
from shared.predict import Predictor
from tests.support.memory import MemoryKafka, lesson_columns
from tests.support.models import threshold_model


def scorer() -> StreamScorer:
    return StreamScorer(Predictor.load("models/threshold"), "predictions", "dead-letters", MemoryKafka([]))


def test_predictions_keep_key_partition_and_position() -> None:
    events = lesson_columns(3, 7, b'{"customer_id":105,"feature":0.7}', b'{"customer_id":101,"feature":0.2}')
    scored = scorer().score([events], now=5)[0]
    [predictions] = scored.records
    assert (predictions.topic, predictions.partition, predictions.timestamp) == ("predictions", 3, 5)
    assert predictions.keys == [b"k0", b"k1"]
    told = [json.loads(value or b"") for value in predictions.values]
    assert [one["prediction_id"] for one in told] == ["customers/3/7", "customers/3/8"]
    assert [one["churn"] for one in told] == [True, False]


def test_a_rejection_becomes_a_dead_letter_with_its_bytes_unchanged_and_the_rest_is_scored() -> None:
    bad = b'{"customer_id":1,"feature":"\xff"}'
    events = lesson_columns(0, 40, bad, b'{"customer_id":105,"feature":0.7}', None)
    events.headers = {0: [("trace", b"t"), ("tandem.reason", b"a lie"), ("nothing", None)]}
    predictions, letters = scorer().score([events], now=5)[0].records
    assert predictions.keys == [b"k1"]
    assert json.loads(predictions.values[0] or b"")["prediction_id"] == "customers/0/41"
    assert (letters.topic, letters.partition) == ("dead-letters", 0)
    assert letters.keys == [b"k0", b"k2"]
    assert letters.values == [bad, None]
    assert letters.headers is not None
    assert letters.headers[0][:2] == [("trace", b"t"), ("nothing", None)]
    told = dead_letters.read_headers(letters.headers[0])
    assert told[dead_letters.REASON] == "invalid_utf8"
    assert told[dead_letters.MODEL] == "threshold@1"
    assert dead_letters.origin_of(told) == dead_letters.Origin("customers", 0, 40, 1_000)
    assert dead_letters.reason_of(dead_letters.read_headers(letters.headers[1])) == "tombstone"


def test_what_the_topics_do_not_take_becomes_a_dead_letter_without_its_bytes() -> None:
    note = b"n" * 9_000
    event, letter = b'{"customer_id":1,"feature":0.1}', b'{"customer_id":3,"note":"' + note + b'"}'
    events = lesson_columns(0, 40, event, event, letter, event)
    events.keys[1] = b"k" * 9_000
    events.headers = {1: [("trace", b"t" * 9_000)], 2: [("trace", b"t")]}
    scored = StreamScorer(
        Predictor.load("models/threshold"), "predictions", "dead-letters", MemoryKafka([], largest=8_000)
    ).score([events], now=5)[0]
    predictions, letters = scored.records
    assert [json.loads(value or b"")["prediction_id"] for value in predictions.values] == [
        "customers/0/40",
        "customers/0/43",
    ]
    assert (scored.outcome.total, scored.outcome.rows.tolist()) == (4, [0, 3])
    assert (letters.keys, letters.values) == ([None, b"k2"], [None, None])
    assert letters.headers is not None
    told = [dead_letters.read_headers(headers) for headers in letters.headers]
    assert not any(name == "trace" for headers in letters.headers for name, _ in headers)
    assert [one[dead_letters.REASON] for one in told] == ["too_large", "missing_field"]
    assert [dead_letters.origin_of(one).offset for one in told] == [41, 42]
    for one, value in zip(told, (event, letter), strict=True):
        assert one[dead_letters.BYTES] == str(len(value))
        assert one[dead_letters.SHA256] == hashlib.sha256(value).hexdigest()


PARENT = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


def test_trace_context_goes_to_the_prediction_and_a_dead_letter_keeps_every_header() -> None:
    event = b'{"customer_id":1,"feature":0.1}'
    events = lesson_columns(0, 0, b"junk", event, event)
    events.headers = {0: [PARENT, ("other", b"o")], 2: [("other", b"o"), PARENT]}
    predictions, letters = scorer().score([events], now=5)[0].records
    assert predictions.headers == [(), [PARENT]]
    assert letters.headers is not None
    assert letters.headers[0][:2] == [PARENT, ("other", b"o")]


def test_predictions_have_no_headers_when_no_event_has_trace_context() -> None:
    events = lesson_columns(0, 0, b'{"customer_id":1,"feature":0.1}')
    events.headers = {0: [("other", b"o")]}
    [predictions] = scorer().score([events], now=5)[0].records
    assert predictions.headers is None


class NarrowTopics:
    """Topics that take 8,000 bytes of key and headers."""

    def too_large(self, records: NewRecords) -> list[int]:
        headers = records.headers or [()] * len(records)
        sizes = [
            len(key or b"") + sum(len(value or b"") for _, value in own)
            for key, own in zip(records.keys, headers, strict=True)
        ]
        return [row for row, size in enumerate(sizes) if size > 8_000]


def test_a_prediction_that_does_not_fit_goes_without_its_trace_context_before_it_is_rejected() -> None:
    event = b'{"customer_id":1,"feature":0.1}'
    events = lesson_columns(0, 0, event, event, event)
    baggage = ("baggage", b"b" * 7_000)
    events.keys[1], events.keys[2] = b"k" * 2_000, b"k" * 9_000
    events.headers = {0: [baggage], 1: [PARENT, baggage], 2: [PARENT]}
    model = Predictor.load("models/threshold")
    [scored] = StreamScorer(model, "predictions", "dead-letters", NarrowTopics()).score([events], now=5)
    predictions, letters = scored.records
    assert (predictions.keys, predictions.headers) == ([b"k0", b"k" * 2_000], [[baggage], ()])
    assert scored.outcome.rows.tolist() == [0, 1]
    assert len(letters) == 1


def test_a_batch_is_scored_with_one_model_and_the_next_with_the_newest(tmp_path: Path) -> None:
    old, new = (
        Predictor.load("models/threshold"),
        Predictor.load(threshold_model(tmp_path / "m", version="2")),
    )

    class Swapping:
        """Another model at every look."""

        left: ClassVar[list[Serving]] = [Serving(old), Serving(new)]

        @property
        def newest(self) -> Serving:
            return self.left.pop(0)

    event = b'{"customer_id":1,"feature":0.1}'
    both = [lesson_columns(0, 0, event), lesson_columns(1, 0, event, b"junk")]
    scoring = StreamScorer(Swapping(), "predictions", "dead-letters", MemoryKafka([]))
    for model in ("threshold@1", "threshold@2"):
        batch = scoring.score(both, now=5)
        assert {json.loads(one.records[0].values[0] or b"")["model"] for one in batch} == {model}
        letters = batch[1].records[1].headers
        assert letters is not None
        assert dead_letters.read_headers(letters[0])[dead_letters.MODEL] == model


def test_a_lost_row_is_noticed_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    careless = scorer()
    part = Predictor.load("models/threshold").score_json([b'{"customer_id":1,"feature":0.1}'])
    monkeypatch.setattr(Predictor, "score_parsed", lambda *_: replace(part, total=2))
    with pytest.raises(LedgerError, match="customers/0: 2 rows read, but 1 scored and 0 rejected"):
        careless.score([lesson_columns(0, 0, b"one", b"two")], now=1)


def test_scoring_again_writes_the_same_bytes() -> None:
    events = lesson_columns(0, 0, b'{"customer_id":1,"feature":0.1}', b"junk")
    assert scorer().score([events], now=1)[0].records == scorer().score([events], now=1)[0].records


def test_events_without_a_scorable_one_write_no_predictions() -> None:
    [letters] = scorer().score([lesson_columns(0, 0, b"junk")], now=1)[0].records
    assert letters.topic == "dead-letters"
