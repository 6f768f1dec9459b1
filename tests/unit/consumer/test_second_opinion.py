"""Events scored again by columns: each way in which two paths can disagree is seen, and told as it is."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from consumer.scoring import Scored, StreamScorer
from consumer.second_opinion import Answered, Disagreement, SecondOpinion
from shared.dead_letters import BYTES, MODEL, OFFSET, PARTITION, REASON, SHA256, TIMESTAMP, TOPIC
from shared.frame import Frame, Parsed
from shared.kafka.columns import NewRecords, RecordColumns
from shared.models.directory import KINDS, read_model
from shared.predict import Outcome, Predictor
from shared.predictions import as_list
from shared.schema import Reason
from tests.support.memory import MemoryKafka, lesson_columns
from tests.support.models import linear_model, threshold_model
from tests.support.unstable import BySize, RaisingAbove

LOW, HIGH = b'{"customer_id":1,"feature":0.25}', b'{"customer_id":2,"event_id":"e","feature":0.8}'
MIXED = (LOW, HIGH, b"no event", None, b'{"customer_id":3,"feature":"0,7"}', b'{"customer_id":4}', b'{"cust')


def score(predictor: Predictor, *values: bytes | None, first: int = 0, largest: int = 1 << 30) -> Scored:
    """Events of partition 0 as the consumer scores them."""
    scorer = StreamScorer(
        predictor, "predictions", "dead-letters", MemoryKafka([], largest=largest), keep_given=True
    )
    return scorer.score([lesson_columns(0, first, *values)], 5)[0]


def answered(scored: Scored, rows: Sequence[int] | None = None) -> Answered:
    assert scored.given is not None
    taken = np.arange(len(scored.events)) if rows is None else np.array(rows)
    return Answered.of(scored, scored.given, taken, "predictions", "dead-letters")


def disagreements(*several: Answered) -> list[Disagreement]:
    return SecondOpinion.on(several[0]).disagreements(several)


def told(scored: Scored) -> list[tuple[str, str, str | None]]:
    """The disagreements over all events of a partition: the kind, the offset and the field."""
    found = disagreements(answered(scored))
    return [(one.kind.value, one.position.removeprefix("customers/0/"), one.field) for one in found]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return threshold_model(tmp_path / "model")


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[type], Predictor]:
    """Makes a predictor of a kind that is planted."""

    def make(kind: type[BySize] | type[RaisingAbove]) -> Predictor:
        monkeypatch.setitem(KINDS, kind.kind, kind)
        return Predictor(read_model(threshold_model(tmp_path / kind.kind, kind=kind.kind)))

    return make


def test_an_honest_stream_is_agreed_with_whatever_is_drawn_of_it(model: Path) -> None:
    predictor = Predictor.load(model)
    one, other = score(predictor, *MIXED, *MIXED), score(predictor, HIGH, first=100)
    for rows in ([0], [2], [3, 5], [1, 4, 6, 8], range(14)):
        assert disagreements(answered(one, rows), answered(other)) == []
    assert len(one.outcome.rows) == 4
    assert {refused.reason for refused in one.outcome.rejections} == {
        *(Reason.NOT_JSON, Reason.TOMBSTONE, Reason.WRONG_TYPE, Reason.MISSING_FIELD, Reason.TRUNCATED)
    }


def test_an_honest_stream_with_explanations_is_agreed_with(tmp_path: Path) -> None:
    predictor = Predictor.load(linear_model(tmp_path / "linear"), explain=2)
    event = b'{"customer_id":"%d","tenure":%d,"partner":true,"contract":"yearly"}'
    scored = score(predictor, *(event % (n, n) for n in range(60)), b"junk")
    assert scored.outcome.explanations is not None
    assert disagreements(answered(scored, [0, 7, 59, 60])) == []


def test_what_is_drawn_is_as_if_it_alone_had_been_scored(model: Path) -> None:
    drawn = answered(score(Predictor.load(model), *MIXED, first=40), [1, 2, 4])
    assert drawn.events == RecordColumns(
        "customers",
        0,
        [41, 42, 44],
        [1001, 1002, 1004],
        [b"k1", b"k2", b"k4"],
        [MIXED[i] for i in (1, 2, 4)],
        {},
        47,
    )
    assert drawn.outcome.rows.tolist() == [0]
    assert list(as_list(drawn.outcome.customer_ids)) == [2]
    assert [(refused.row, refused.reason) for refused in drawn.outcome.rejections] == [
        (1, Reason.NOT_JSON),
        (2, Reason.WRONG_TYPE),
    ]
    prediction, *letters = drawn.written
    assert prediction is not None
    assert (prediction.value or b"").startswith(b'{"prediction_id":"customers/0/41"')
    assert [letter and (letter.key, letter.value) for letter in letters] == [
        (b"k2", MIXED[2]),
        (b"k4", MIXED[4]),
    ]


def test_one_bit_of_a_score_is_seen_and_shown(planted: Callable[[type], Predictor]) -> None:
    """In batches of fifty the planted kind gives one unit in the last place more."""
    scored = score(planted(BySize), *[LOW] * 60)
    [found] = disagreements(answered(scored, [33]))
    assert (found.kind, found.position, found.field) == ("bits", "customers/0/33", None)
    assert (found.stream, found.columns) == ("0x1.0000000000001p-2 (false)", "0x1.0000000000000p-2 (false)")


def test_another_decision_is_told_before_the_bits(planted: Callable[[type], Predictor]) -> None:
    scored = score(planted(BySize), *[b'{"customer_id":1,"feature":0.6}'] * 50)
    [found] = disagreements(answered(scored, [7]))
    assert found.kind == "decision"
    assert (found.stream[-6:], found.columns[-7:]) == ("(true)", "(false)")


class NeverFails(Predictor):
    """Scores what the model itself fails for."""

    def score_frame(self, frame: Frame) -> npt.NDArray[np.float64]:
        return frame.columns["feature"]


def test_an_event_that_the_model_fails_for_on_one_path_is_seen(planted: Callable[[type], Predictor]) -> None:
    failing = planted(RaisingAbove)
    assert told(score(failing, LOW, HIGH)) == []
    [found] = disagreements(answered(score(NeverFails(failing.model), LOW, HIGH)))
    assert (found.kind, found.position) == ("rejection", "customers/0/1")
    assert (found.stream, found.columns) == ("0x1.999999999999ap-1 (true)", "rejected: model_error")


class DecimalComma(Predictor):
    """Takes a comma for a decimal point where it reads events."""

    def parse_json(self, values: Sequence[bytes | None]) -> Parsed:
        return super().parse_json([(value or b"").replace(b'"0,7"', b"0.7") or None for value in values])


def test_an_event_that_only_the_stream_accepts_is_seen(model: Path) -> None:
    scored = score(DecimalComma(read_model(model)), *MIXED)
    assert told(scored) == [("rejection", "4", None)]
    [found] = disagreements(answered(scored))
    assert (found.stream, found.columns) == ("0x1.6666666666666p-1 (true)", "rejected: wrong_type")


def test_what_the_quick_decoder_accepts_and_pydantic_does_not_is_seen(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quick decoder is made to take a number in quotes; every parser that is made from now on has it."""
    lax = partial(msgspec.json.Decoder, strict=False)
    monkeypatch.setattr("shared.events.msgspec.json.Decoder", lax)
    scored = score(Predictor.load(model), LOW, b'{"customer_id":3,"feature":"0.7"}')
    assert len(scored.outcome.rows) == 2
    assert told(scored) == [("rejection", "1", None)]


class OneReason(Predictor):
    """Knows but one reason to reject."""

    def score_parsed(self, parsed: Parsed) -> Outcome:
        refused = tuple(replace(one, reason=Reason.NOT_JSON) for one in parsed.rejections)
        return super().score_parsed(replace(parsed, rejections=refused))


def test_another_reason_is_seen_and_the_same_one_is_not(model: Path) -> None:
    found = told(score(OneReason(read_model(model)), *MIXED))
    assert found == [("rejection", offset, None) for offset in ("3", "4", "5", "6")]


class Float32(Predictor):
    """Takes a detour by float32."""

    def parse_json(self, values: Sequence[bytes | None]) -> Parsed:
        parsed = super().parse_json(values)
        columns = {name: column.astype(np.float32) for name, column in parsed.frame.columns.items()}
        return replace(parsed, frame=Frame(parsed.frame.count, columns))


def test_another_input_is_told_by_its_name_before_what_follows_from_it(model: Path) -> None:
    """0.25 is a float32; 0.8 is none."""
    assert told(score(Float32(read_model(model)), LOW, HIGH)) == [("input", "1", "feature")]


class OtherIds(Predictor):
    """Spells ids otherwise."""

    def parse_json(self, values: Sequence[bytes | None]) -> Parsed:
        parsed = super().parse_json(values)
        if parsed.event_ids is not None:
            return replace(
                parsed, event_ids=["E" if event_id else None for event_id in as_list(parsed.event_ids)]
            )
        return replace(parsed, customer_ids=[str(customer) for customer in as_list(parsed.customer_ids)])


def test_another_id_is_told_by_its_name(model: Path) -> None:
    assert told(score(OtherIds(read_model(model)), LOW)) == [("input", "0", "customer_id")]
    assert told(score(OtherIds(read_model(model)), LOW, HIGH)) == [("input", "1", "event_id")]


class OtherExplanations(Predictor):
    """One unit in the last place more in the base of every explanation."""

    def score_parsed(self, parsed: Parsed) -> Outcome:
        outcome = super().score_parsed(parsed)
        assert outcome.explanations is not None
        base = np.nextafter(outcome.explanations.base, np.inf)
        return replace(outcome, explanations=replace(outcome.explanations, base=base))


def test_another_explanation_is_seen(tmp_path: Path) -> None:
    predictor = OtherExplanations(read_model(linear_model(tmp_path / "linear")), explain=2)
    scored = score(predictor, b'{"customer_id":1,"tenure":3,"partner":true,"contract":"yearly"}', b"junk")
    assert told(scored) == [("explanation", "0", None)]


def test_a_prediction_that_was_published_otherwise_than_scored_is_seen(model: Path) -> None:
    scored = score(Predictor.load(model), LOW, b"junk", HIGH)
    [predictions, letters] = scored.records
    values = [value and value.replace(b"threshold@1", b"threshold@2") for value in predictions.values]
    published = replace(predictions, values=[predictions.values[0], values[1]])
    assert told(replace(scored, records=(published, letters))) == [("published", "2", None)]


Change = Callable[[NewRecords], NewRecords]


def stamped(name: str, text: bytes) -> Change:
    """Another text in a header of the second record."""

    def changed(records: NewRecords) -> NewRecords:
        assert records.headers is not None
        headers = [list(some) for some in records.headers]
        assert name in dict(headers[1])
        headers[1] = [(known, text if known == name else value) for known, value in headers[1]]
        return replace(records, headers=headers)

    return changed


OTHERWISE: dict[str, tuple[Change, list[int]]] = {
    "another key": (lambda records: replace(records, keys=[records.keys[0], b"wrong"]), [1]),
    "no key": (lambda records: replace(records, keys=[records.keys[0], None]), [1]),
    "another's key": (lambda records: replace(records, keys=records.keys[::-1]), [0, 1]),
    "another partition": (lambda records: replace(records, partition=1), [0, 1]),
    "another value": (lambda records: replace(records, values=[records.values[0], b"{}"]), [1]),
    "no value": (lambda records: replace(records, values=[records.values[0], None]), [1]),
    "nothing": (lambda records: records.rows(0, 1), [1]),
    "nothing at all": (lambda records: replace(records, topic="another"), [0, 1]),
}
LETTERS_OTHERWISE = OTHERWISE | {
    "another reason": (stamped(REASON, b"not_json"), [1]),
    "no known reason": (stamped(REASON, b"\xff"), [1]),
    "another topic of its event": (stamped(TOPIC, b"others"), [1]),
    "another partition of its event": (stamped(PARTITION, b"1"), [1]),
    "another offset of its event": (stamped(OFFSET, b"9" * 30), [1]),
    "another time of its event": (stamped(TIMESTAMP, b"0"), [1]),
    "another model": (stamped(MODEL, b"threshold@2"), [1]),
    "no headers": (lambda records: replace(records, headers=None), [0, 1]),
}


@pytest.mark.parametrize(("change", "rows"), OTHERWISE.values(), ids=OTHERWISE)
def test_a_prediction_that_was_published_as_another_is_seen(
    model: Path, change: Change, rows: list[int]
) -> None:
    scored = score(Predictor.load(model), LOW, HIGH)
    [predictions] = scored.records
    assert told(scored) == []
    assert told(replace(scored, records=(change(predictions),))) == [
        ("published", str(row), None) for row in rows
    ]


@pytest.mark.parametrize(("change", "rows"), LETTERS_OTHERWISE.values(), ids=LETTERS_OTHERWISE)
def test_a_dead_letter_that_was_published_otherwise_is_seen(
    model: Path, change: Change, rows: list[int]
) -> None:
    scored = score(Predictor.load(model), b"junk", b'{"customer_id":4}')
    [letters] = scored.records
    assert told(scored) == []
    assert told(replace(scored, records=(change(letters),))) == [
        ("published", str(row), None) for row in rows
    ]


def stub(model: Path, key: bytes) -> tuple[Scored, NewRecords]:
    """An event whose dead letter its topic takes without the bytes only."""
    value = b"junk" * 1_000
    [scored] = StreamScorer(
        Predictor.load(model), "predictions", "dead-letters", MemoryKafka([], largest=2_000), keep_given=True
    ).score([RecordColumns("customers", 0, [7], [1], [key], [value], {0: [("own", b"x")]}, 8)], 5)
    [letters] = scored.records
    assert list(letters.values) == [None]
    return scored, letters


def test_a_dead_letter_without_its_bytes_must_tell_what_they_were(model: Path) -> None:
    scored, letters = stub(model, b"k")
    assert told(scored) == []
    assert letters.headers is not None
    for name, text in ((BYTES, b"3999"), (SHA256, b"0" * 64)):
        [headers] = letters.headers
        other = [(known, text if known == name else value) for known, value in headers]
        assert other != headers
        assert told(replace(scored, records=(replace(letters, headers=[other]),))) == [
            ("published", "7", None)
        ]
    assert told(replace(scored, records=(replace(letters, values=[b"junk"]),))) == [("published", "7", None)]


def test_a_dead_letter_may_go_without_its_key_only_where_that_is_long(model: Path) -> None:
    scored, letters = stub(model, b"k" * 5_000)
    assert list(letters.keys) == [None]
    assert told(scored) == []
    scored, letters = stub(model, b"k" * 4_000)
    assert told(scored) == []
    assert told(replace(scored, records=(replace(letters, keys=[None]),))) == [("published", "7", None)]


def test_a_dead_letter_may_have_headers_of_its_event_and_any_time(model: Path) -> None:
    events = RecordColumns("customers", 0, [7], [-5], [None], [None], {0: [("own", b"x")]}, 8)
    scorer = StreamScorer(
        Predictor.load(model), "predictions", "dead-letters", MemoryKafka([]), keep_given=True
    )
    assert told(scorer.score([events], 5, attempt=3)[0]) == []


def test_a_prediction_that_is_too_large_for_its_topic_is_no_disagreement(model: Path) -> None:
    scored = score(Predictor.load(model), LOW, HIGH, largest=150)
    scored_rows, refused = scored.outcome.rows.tolist(), scored.outcome.rejections
    assert (scored_rows, [one.reason for one in refused]) == ([0], [Reason.TOO_LARGE])
    assert told(scored) == []
    predictions, _ = scored.records
    assert told(replace(scored, records=(predictions,))) == [("published", "1", None)]


def test_an_event_that_is_too_large_to_be_read_is_rejected_by_both(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = b'{"customer_id":1,"feature":0.7,"more":"' + b"x" * (1 << 20) + b'"}'
    scored = score(Predictor.load(model), LOW, large)
    assert [one.reason for one in scored.outcome.rejections] == [Reason.TOO_LARGE]
    assert told(scored) == []
    # One path alone reads larger ones.
    monkeypatch.setattr("shared.events.MAX_EVENT_BYTES", 2 << 20)
    assert told(scored) == [("rejection", "1", None)]


def test_of_several_partitions_each_event_keeps_its_own_place(model: Path) -> None:
    scorer = StreamScorer(
        DecimalComma(read_model(model)), "predictions", "dead-letters", MemoryKafka([]), keep_given=True
    )
    batch = [lesson_columns(0, 10, *MIXED), lesson_columns(3, 20, b"junk"), lesson_columns(1, 7, *MIXED)]
    found = disagreements(*(answered(scored) for scored in scorer.score(batch, 5)))
    assert [one.position for one in found] == ["customers/0/14", "customers/1/11"]


def test_of_several_partitions_each_has_its_own_inputs(model: Path) -> None:
    scorer = StreamScorer(
        Float32(read_model(model)), "predictions", "dead-letters", MemoryKafka([]), keep_given=True
    )
    batch = [lesson_columns(number, 0, b"junk", LOW, b"{}", HIGH) for number in (0, 1)]
    found = disagreements(*(answered(scored, [1, 3]) for scored in scorer.score(batch, 5)))
    assert [(one.kind, one.position, one.field) for one in found] == [
        ("input", "customers/0/3", "feature"),
        ("input", "customers/1/3", "feature"),
    ]


def test_no_word_of_an_event_is_in_a_disagreement(model: Path) -> None:
    secret = RecordColumns(
        "customers", 0, [0], [1], [b"k"], [b'{"customer_id":987654,"feature":"0,7"}'], {}, 1
    )
    scorer = StreamScorer(
        DecimalComma(read_model(model)), "predictions", "dead-letters", MemoryKafka([]), keep_given=True
    )
    [found] = disagreements(answered(scorer.score([secret], 5)[0]))
    assert "987654" not in repr(found)
    assert "0,7" not in repr(found)
