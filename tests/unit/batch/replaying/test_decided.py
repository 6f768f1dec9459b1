"""Predictions that were made, found by position."""

from collections.abc import Sequence

import pyarrow as pa
import pytest

from batch.replaying.decided import Decided
from batch.results import PREDICTIONS
from shared.errors import InputError


def table(ids: Sequence[str | None], scores: Sequence[float | None], model: str = "m@1") -> pa.Table:
    """Predictions whose decisions are those of a threshold of 0.5."""
    decisions = [None if score is None else score > 0.5 for score in scores]
    rows = len(ids)
    columns = [ids, scores, decisions, [model] * rows, ["abc"] * rows, [None] * rows]
    return pa.table(columns, schema=PREDICTIONS)


def test_each_is_found_by_its_place_and_number_in_whatever_order_they_come() -> None:
    decided = Decided(
        "there", [table(["t/0/7", "t/1/7", "t/0/2"], [0.7, 0.1, 0.2]), table(["a/b.csv/0"], [0.9], "m@2")]
    )
    known, scores, decisions = decided.of("t/0", pa.array(["t/0/2", "t/0/3", "t/0/7", "t/0/8"]))
    assert known.tolist() == [True, False, True, False]
    assert (scores[known].tolist(), decisions[known].tolist()) == ([0.2, 0.7], [False, True])
    assert decided.of("a/b.csv", pa.array(["a/b.csv/0"]))[0].tolist() == [True]
    assert decided.of("t/2", pa.array(["t/2/7"]))[0].tolist() == [False]
    assert (decided.count, decided.repeated) == (4, 0)
    assert decided.models == {"m@1 abc": 3, "m@2 abc": 1}


def test_of_two_predictions_for_a_position_the_first_counts() -> None:
    decided = Decided("there", [table(["t/0/1"], [0.9]), table(["t/0/0", "t/0/1"], [0.3, 0.1])])
    assert decided.of("t/0", pa.array(["t/0/1"]))[1].tolist() == [0.9]
    assert (decided.count, decided.repeated) == (2, 1)


def test_nothing_is_found_where_there_is_nothing() -> None:
    decided = Decided("there", [table([], [])])
    assert (decided.count, decided.example) == (0, None)
    assert decided.of("t/0", pa.array([], pa.string()))[0].tolist() == []


@pytest.mark.parametrize(
    ("ids", "scores", "said"),
    [
        (["t/0/x"], [0.1], "there: a prediction_id is no position with a number, such as t/0/x"),
        (["one"], [0.1], "there: a prediction_id is no position with a number, such as one"),
        ([None], [0.1], "there: 1 of 1 predictions have no prediction_id"),
        (["t/0/1"], [None], "there: 1 of 1 predictions have no score"),
    ],
)
def test_what_cannot_be_joined_is_a_sentence(
    ids: list[str | None], scores: list[float | None], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        Decided("there", [table(ids, scores)])


def test_rows_that_are_not_known_by_numbers_are_told_of() -> None:
    decided = Decided("there", [table(["table/1"], [0.1])])
    with pytest.raises(InputError, match="table: its rows are not known by numbers: table/é"):
        decided.of("table", pa.array(["table/é"]))
