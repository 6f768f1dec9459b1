"""The tables of a page tell good from bad, and put first what is to be mended first."""

from batch.proof.classes import AGREEING, CLASSES, Found
from batch.proof.result import FeatureParity, PartitionLedger, Proof
from batch.report.document import Report
from batch.report.page import page
from batch.report.views import books, classes, examples, explained, features, matrix, segments, unbalanced
from tests.support import reports
from tests.support.markup import parsed


def proof_of(report: Report) -> Proof:
    assert report.proof is not None
    return report.proof


HOLDING, FAILING = proof_of(reports.holding()), proof_of(reports.failing())


def test_only_classes_in_which_both_paths_agree_are_good() -> None:
    tones = {row.name.replace(" ", "_"): row.tone for row in classes(FAILING) if row.events}
    assert {name for name, tone in tones.items() if tone == "good"} == set(AGREEING)
    assert {name for name, tone in tones.items() if tone == "quiet"} == {Found.NOT_SAMPLED}
    assert len(tones) == sum(count > 0 for count in FAILING.counts.values())


def test_classes_that_come_with_an_option_are_told_only_where_they_occur() -> None:
    told = {row.name.replace(" ", "_") for row in classes(HOLDING)}
    assert told == set(CLASSES) - {Found.NO_ROW, Found.NOT_SAMPLED}
    assert all(row.tone == "quiet" for row in classes(HOLDING) if not row.events)


def test_the_matrix_is_good_on_its_diagonal_only() -> None:
    shown = matrix(FAILING)
    cells = {
        (stream, batch): cell
        for stream, row in shown.rows
        for batch, cell in zip(shown.columns, row, strict=True)
    }
    assert {place for place, cell in cells.items() if cell.tone == "good"} == {
        ("true", "true"),
        ("false", "false"),
        ("rejected", "rejected"),
    }
    assert cells["true", "not scored"].tone == "quiet"
    assert cells["none", "true"].tone == "bad"
    assert {cell.sign for cell in cells.values() if not cell.events} == {""}
    assert cells["false", "false"].level == 4
    assert cells["none", "true"].level == 1
    assert sum(shown.totals) == FAILING.events


def test_answers_that_nobody_gave_are_left_out_of_the_matrix() -> None:
    assert [stream for stream, _ in matrix(HOLDING).rows] == ["true", "false", "rejected"]
    assert matrix(HOLDING).columns == ["true", "false", "rejected"]


def test_the_books_say_what_is_wrong_with_each_partition() -> None:
    shown = books(FAILING)
    assert (shown.closed, shown.total) == (20, 24)
    assert [row.ledger.partition for row in shown.shown] == [0, 1, 2, 23]
    assert len(shown.folded) == 24
    assert shown.shown[0].wrong == "1 missing, 1 duplicated, 1 misplaced, 1 out of order"
    assert shown.shown[-1].wrong == "1 of no event"
    assert shown.events == FAILING.events


def test_books_that_do_not_add_up_for_no_other_reason_say_so() -> None:
    ledger = PartitionLedger(
        partition=0,
        start=0,
        end=10,
        events=10,
        counts={Found.IDENTICAL: 10},
        predictions=9,
        letters=0,
        digest="",
    )
    (row,) = books(FAILING.model_copy(update={"ledger": [ledger]})).shown
    assert row.wrong == "10 events, 9 answers"


def test_a_proof_says_why_it_is_not_conserved() -> None:
    assert unbalanced(HOLDING) == ""
    assert unbalanced(FAILING).startswith("The books of 4 of 24 partitions do not close: ")
    for field, told in (
        ("foreign", "Each of 2 records on the topics of answers is none."),
        ("rows_without_event", "Each of 2 rows of the batch side has the id of no event."),
    ):
        strays = HOLDING.model_copy(update={field: 2})
        assert not strays.conserved
        assert unbalanced(strays) == told
        page_says = parsed(page(reports.holding().model_copy(update={"proof": strays}))).text
        assert told in page_says
        assert "6 of 6 close" in page_says


def test_what_is_looked_for_first_is_told_first() -> None:
    order = [found.replace("_", " ") for found in CLASSES]
    shown = FAILING.model_copy(
        update={"examples": FAILING.examples[::-1], "explaining": FAILING.explaining[::-1]}
    )
    for told in ([group.name for group in examples(shown)], [name for name, _ in explained(shown)]):
        assert len(told) == len(set(told))
        assert told == sorted(told, key=order.index)


def test_inputs_that_differ_most_come_first_and_those_that_do_not_apart() -> None:
    shown = features(FAILING)
    assert [one.feature for one in shown.differing] == ["region Zürich", "monthly_charges", "contract"]
    assert [one.feature for one in shown.alike] == ["tenure_months"]


def test_bars_of_segments_are_of_the_largest_share() -> None:
    replay = reports.replayed().replay
    assert replay is not None
    shown = segments(replay)
    assert [group.feature for group in shown.shown] == ["contract", "tenure_months"]
    assert shown.most == max(max(one.raised, one.lowered) / one.events for one in replay.segments)


def test_the_inputs_beyond_a_few_are_folded() -> None:
    replay = reports.replayed().replay
    assert replay is not None
    first = replay.segments[0]
    many = [first.model_copy(update={"feature": f"input {number}"}) for number in range(30)]
    shown = segments(replay.model_copy(update={"segments": many}))
    assert [group.feature for group in shown.shown] == [f"input {number}" for number in range(5)]
    assert len(shown.folded) == 25


def test_an_input_that_no_pair_had_is_alike() -> None:
    nothing = FeatureParity(feature="x", compared=0, mismatched=0, missing=0, extra=0)
    assert features(FAILING.model_copy(update={"features": [nothing]})).differing == []
