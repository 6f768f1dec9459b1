"""Events made to cost time, memory or a terminal: each is answered about as fast as one of its size."""

import json
import time
from collections.abc import Callable

import pytest

from shared.dead_letters import Origin, headers_for, own_headers, read_headers
from shared.events import MAX_EVENT_BYTES
from shared.predict import Predictor
from shared.schema import Rejection

_SIZE = 1_000_000
_START = b'{"customer_id": 1, "feature": 0.7, "x": '


def padded(value: bytes) -> bytes:
    """An event with a field that the model does not know."""
    return _START + value + b"}"


#: An event of about a megabyte each, and the reason for which it is rejected; None where it is scored.
HOSTILE: dict[str, tuple[bytes, str | None]] = {
    "nested lists": (padded(b"[" * (_SIZE // 2) + b"]" * (_SIZE // 2)), "too_deep"),
    "nested lists that never end": (padded(b"[" * _SIZE), "too_deep"),
    "nested objects": (padded(b'{"a":' * (_SIZE // 5)), "too_deep"),
    "a million empty lists": (padded(b"[" + b"[]," * (_SIZE // 3) + b"[]]"), None),
    "an exponent of nine digits": (b'{"customer_id": 1, "feature": 1e999999999}', "not_finite"),
    "an exponent of a million digits": (
        b'{"customer_id": 1, "feature": 1e' + b"9" * _SIZE + b"}",
        "not_finite",
    ),
    "an id with a huge exponent": (b'{"customer_id": 1e999999999, "feature": 0.7}', "wrong_type"),
    "a number of a million digits": (b'{"customer_id": 1, "feature": ' + b"9" * _SIZE + b"}", "not_json"),
    "an id of a million digits": (b'{"customer_id": ' + b"9" * _SIZE + b', "feature": 0.7}', "not_json"),
    "an ignored number of a million digits": (padded(b"9" * _SIZE), "not_json"),
    "many numbers of 4,000 digits": (padded(b"[" + (b"9" * 4000 + b",") * 240 + b"9]"), None),
    "a fraction of a million digits": (b'{"customer_id": 1, "feature": 0.' + b"7" * _SIZE + b"}", None),
    "escapes": (padded(b'"' + b"\\u0041" * (_SIZE // 6) + b'"'), None),
    "pairs of surrogates": (padded(b'"' + b"\\ud83d\\ude00" * (_SIZE // 12) + b'"'), None),
    "one key a hundred thousand times": (
        b'{"customer_id": 1' + b',"feature":0.7' * (_SIZE // 14) + b"}",
        None,
    ),
    "a hundred thousand keys": (
        b'{"customer_id": 1, "feature": 0.7' + b"".join(b',"%07d":1' % n for n in range(_SIZE // 12)) + b"}",
        None,
    ),
    "a name of a million characters": (
        b'{"customer_id": 1, "feature": 0.7, "' + b"n" * _SIZE + b'": 1}',
        None,
    ),
    "a list in place of a number": (
        b'{"customer_id": 1, "feature": [' + b"1," * (_SIZE // 2) + b"1]}",
        "wrong_type",
    ),
    "a text in place of a number": (b'{"customer_id": 1, "feature": "' + b"n" * _SIZE + b'"}', "wrong_type"),
    "blanks": (b" " * _SIZE + b'{"customer_id": 1, "feature": 0.7}', None),
    "half a surrogate": (padded(b'"\\ud800"'), "not_json"),
    "a NUL byte": (b'{"customer_id": "a\x00b", "feature": 0.7}', "not_json"),
    "4 MB of escapes": (padded(b'"' + b"\\n" * 2_000_000 + b'"'), "too_large"),
}


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """The lesson's model."""
    return Predictor.load("models/threshold")


def quickest(work: Callable[[], object], times: int = 5) -> float:
    """Seconds of the quickest of several runs: what the work costs, without what the machine did besides."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return min(taken)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_event_costs_about_what_one_of_its_size_does(predictor: Predictor, name: str) -> None:
    event, reason = HOSTILE[name]
    outcome = predictor.score_json([event])
    assert [str(rejection.reason) for rejection in outcome.rejections] == ([] if reason is None else [reason])
    # As many bytes of objects and numbers, as an honest sender of large events would send.
    honest = padded(b"[" + b'{"a":1.5,"b":"text"},' * (len(event) // 21) + b"0]")[:MAX_EVENT_BYTES]
    usual = quickest(lambda: predictor.score_json([honest]))
    assert quickest(lambda: predictor.score_json([event])) < 20 * usual + 0.01


def test_a_hostile_event_beside_others_changes_nothing_for_them(predictor: Predictor) -> None:
    plain = b'{"customer_id": 1, "feature": 0.7}'
    events = [one for hostile, _ in HOSTILE.values() for one in (plain, hostile)]
    outcome = predictor.score_json(events)
    assert set(range(0, len(events), 2)) <= set(outcome.rows.tolist())


@pytest.mark.parametrize("value", [b"[" + b"1," * 99_999 + b"1]", b'{"a": [1, [2, {"b": 3}]], "c": "d"}'])
def test_what_is_shown_of_a_list_is_its_beginning(predictor: Predictor, value: bytes) -> None:
    outcome = predictor.score_json([b'{"customer_id": 1, "feature": ' + value + b"}"])
    shown = repr(json.loads(value))
    detail = outcome.rejections[0].detail
    assert detail.startswith(f"feature is {shown[:59]}")


def test_what_an_event_holds_is_told_without_control_characters(predictor: Predictor) -> None:
    hostile = b'{"customer_id": "\\u001b]0;owned\\u0007\\n{}", "feature": 0.7}'
    for rejection in predictor.score_json(
        [hostile, b'{"customer_id": 1, "feature": "\\u001b[2J\\u202e"}']
    ).rejections:
        assert rejection.detail.isprintable()


def test_headers_that_pretend_to_be_tandems_own_do_not_stand_on_a_dead_letter(predictor: Predictor) -> None:
    rejection: Rejection = predictor.score_json([b"x"]).rejections[0]
    spoofed = [
        ("tandem.reason", b"tombstone"),
        ("tandem.offset", b"999"),
        ("tandem.anything", None),
        ("\udcff\x1b[2J", b"\x00\xff"),
        ("trace", b"kept"),
    ]
    headers = headers_for(rejection, Origin("customers", 0, 7, 1), "threshold@1", spoofed)
    assert own_headers(headers) == spoofed[3:]
    told = read_headers(headers)
    assert (told["tandem.reason"], told["tandem.offset"]) == ("not_json", "7")
    assert "tandem.anything" not in told
    assert len([name for name, _ in headers if name == "tandem.offset"]) == 1
