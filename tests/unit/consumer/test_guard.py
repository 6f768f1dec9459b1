"""The guard stops a consumer that would empty its topic into dead letters, and no other."""

import sys
from itertools import count

import pytest

from consumer.guard import RejectGuard, TooManyRejectedError
from consumer.scoring import Scored, StreamScorer
from shared.errors import ExitCode
from shared.predict import Predictor
from tests.support.memory import MemoryKafka, lesson_columns

GOOD = b'{"customer_id":1,"feature":0.1}'
BAD = b'{"customer_id":1,"feature":"0.1"}'
SCORER = StreamScorer(Predictor.load("models/threshold"), "predictions", "dead-letters", MemoryKafka([]))
OFFSETS = count(0, 1_000_000)


def batch(good: int, bad: int, *others: bytes) -> list[Scored]:
    """A batch of one partition."""
    events = lesson_columns(0, next(OFFSETS), *[GOOD] * good, *[BAD] * bad, *others)
    return SCORER.score([events], now=1)


def commit(guard: RejectGuard, *batches: list[Scored]) -> None:
    """Batches that pass and are committed."""
    for one in batches:
        guard.check(one)
        guard.add(one)


def test_a_batch_above_the_limit_is_refused_with_the_counts_the_causes_and_an_example() -> None:
    refused = SCORER.score([lesson_columns(2, 40, *[GOOD] * 3, *[BAD] * 6, b"junk\x1b[2J")], now=1)
    with pytest.raises(TooManyRejectedError) as raised:
        RejectGuard(0.5, 10).check(refused)
    message = raised.value.message
    assert message.startswith("7 of the latest 10 events (70.0%) were rejected, above --reject-limit 0.5: ")
    assert "6 wrong_type of feature, 1 not_json. For example customers/2/43: " in message
    assert "--reject-limit" in (raised.value.hint or "")
    assert raised.value.exit_code == ExitCode.ANSWER_IS_NO


def test_exactly_the_limit_passes() -> None:
    commit(RejectGuard(0.5, 10), batch(5, 5))


def test_fewer_events_than_the_window_trip_nothing_until_it_is_full() -> None:
    guard = RejectGuard(0.5, 10)
    commit(guard, *(batch(0, 1) for _ in range(9)))
    with pytest.raises(TooManyRejectedError, match=r"10 of the latest 10 events"):
        guard.check(batch(0, 1))


def test_the_example_of_an_earlier_batch_is_kept_for_one_without_a_rejection() -> None:
    guard = RejectGuard(0.5, 10)
    commit(guard, batch(0, 9))
    with pytest.raises(TooManyRejectedError, match=r"9 of the latest 10 .* For example customers/0/\d+: "):
        guard.check(batch(1, 0))


def test_a_batch_as_large_as_the_window_is_judged_alone() -> None:
    guard = RejectGuard(0.5, 10)
    commit(guard, batch(1_000, 0))
    with pytest.raises(TooManyRejectedError, match=r"8 of the latest 10 events"):
        guard.check(batch(2, 8))


def test_small_batches_are_judged_with_the_committed_ones_before_them() -> None:
    guard = RejectGuard(0.5, 100)
    commit(guard, *(batch(9, 1) for _ in range(20)))
    commit(guard, *(batch(0, 10) for _ in range(4)))
    with pytest.raises(TooManyRejectedError):
        commit(guard, batch(0, 10), batch(0, 10))


def test_a_batch_that_was_only_checked_does_not_count() -> None:
    guard = RejectGuard(0.5, 10)
    for _ in range(20):
        guard.check(batch(0, 9))


def test_what_fell_out_of_the_window_does_not_count() -> None:
    guard = RejectGuard(0.5, 10)
    commit(guard, batch(0, 9))
    for _ in range(30):
        # Not judged: the rejections are to fall out.
        guard.add(batch(1, 0))
    commit(guard, batch(5, 4))


def test_at_a_limit_of_1_it_never_stops() -> None:
    commit(RejectGuard(1.0, 1), batch(0, 500))


def test_it_remembers_a_large_window_of_single_events_in_few_counts() -> None:
    guard = RejectGuard(0.9, 1_000_000)
    good, bad = batch(1, 0), batch(0, 1)
    for _ in range(20_000):
        guard.add(good)
        guard.add(bad)
    assert sum(bucket.events for bucket in guard._buckets) == 40_000
    assert len(guard._buckets) <= 65


def test_names_of_fields_that_senders_choose_do_not_fill_the_memory() -> None:
    guard = RejectGuard(0.9, 1_000_000)
    [scored] = batch(0, 1)
    for number in range(1_000):
        rejection = scored.outcome.rejections[0]
        object.__setattr__(rejection, "field", sys.intern(f"field{number}"))
        guard.add([scored])
    [bucket] = guard._buckets
    assert len(bucket.causes) <= 101
    assert bucket.rejected == sum(bucket.causes.values()) == 1_000
