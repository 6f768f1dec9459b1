"""The verdict of a replay says what flips and what is lost, and calls nothing to compare no success."""

import io

import pytest
from rich.console import Console

from batch.replaying.result import Affected, Flips, Replay
from batch.replaying.show import show
from batch.replaying.verdict import tone, verdict
from batch.report.document import Report
from batch.report.page import headline, page
from tests.support import reports
from tests.support.markup import parsed


def replayed(compared: int, raised: int = 0, lowered: int = 0, lost: int = 0) -> Replay:
    return Replay(
        source="events.csv",
        before="a@1",
        after="a@2",
        events=compared + lost,
        compared=compared,
        newly_rejected={"out_of_range": lost} if lost else {},
        newly_scored=0,
        all=Flips(
            feature="", segment="", events=compared, raised=raised, lowered=lowered, mean_change=-0.0181
        ),
        segments=[],
        affected=[],
        notes=[],
    )


def reported(replay: Replay) -> Report:
    return reports.replayed().model_copy(update={"replay": replay})


def shown(replay: Replay) -> str:
    printed = io.StringIO()
    show(replay, 20, Console(file=printed, width=80, highlight=False))
    return printed.getvalue()


CASES = [
    (replayed(0), "Nothing to compare: no event has a decision of both."),
    (
        replayed(0, lost=7),
        (
            "Nothing to compare: no event has a decision of both. 7 decisions are lost: only the tried model"
            " rejects these events."
        ),
    ),
    (replayed(1), "No decision flips: 1 event has one of both."),
    (
        replayed(4_000, lost=1),
        (
            "No decision flips: 4,000 events have one of both. 1 decision is lost: only the tried model"
            " rejects this event."
        ),
    ),
    (replayed(1, lowered=1), "1 of 1 decision flips (100%): 0 become true, 1 becomes false."),
    (
        replayed(9_000, raised=1, lowered=2),
        "3 of 9,000 decisions flip (0.033%): 1 becomes true, 2 become false.",
    ),
]


@pytest.mark.parametrize(("replay", "said"), CASES)
def test_terminal_and_page_have_one_verdict(replay: Replay, said: str) -> None:
    assert verdict(replay) == said
    assert shown(replay).splitlines()[-1] == said
    assert headline(reported(replay)) == said
    assert said in parsed(page(reported(replay))).text


@pytest.mark.parametrize(
    ("replay", "sounds", "looks", "seal"),
    [
        (replayed(0), "nothing to compare", "fails", "✗"),
        (replayed(0, lost=7), "nothing to compare", "fails", "✗"),
        (replayed(3), "same", "holds", "✓"),
        (replayed(3, raised=1), "changed", "plain", ""),
        (replayed(3, lost=1), "changed", "plain", ""),
    ],
)
def test_nothing_to_compare_looks_bad_and_only_what_stays_the_same_good(
    replay: Replay, sounds: str, looks: str, seal: str
) -> None:
    assert tone(replay) == sounds
    html = page(reported(replay))
    assert f'<header class="{looks}">' in html
    assert [mark for mark in "✓✗" if f'aria-hidden="true">{mark}<' in html] == list(seal)


@pytest.mark.parametrize(("after", "stays"), [(0.5, True), (0.75, False)])
def test_flips_without_another_score_are_said_to_be_the_thresholds(after: float, stays: bool) -> None:
    one = Affected(customer="7", position="events.csv/3", before=0.5, after=after, decision=True)
    found = replayed(9, raised=1).model_copy(update={"affected": [one]})
    assert ("Their scores stay: only the threshold is another." in verdict(found)) is stays


def test_what_is_beyond_chance_stands_under_its_heading() -> None:
    replay = reports.replayed().replay
    assert replay is not None
    lines = shown(replay).splitlines()
    heading = next(line for line in lines if line.startswith("input"))
    marked = next(line for line in lines if line.rstrip().endswith(" yes"))
    assert marked.index(" yes") + 1 == heading.index("beyond chance")


def test_a_share_reads_the_same_on_the_terminal_and_on_the_page() -> None:
    replay = replayed(3_000, raised=1, lowered=2)
    assert "(0.1%)" in headline(reported(replay))
    segment = Flips(
        feature="tenure", segment="0 to 3", events=8_000, raised=4, lowered=0, mean_change=-0.00412
    )
    text = shown(replay.model_copy(update={"segments": [segment]}))
    html = parsed(page(reported(replay.model_copy(update={"segments": [segment]})))).text
    for said in ("0.05%", "\u22120.00412"):
        assert said in text
        assert said in html
