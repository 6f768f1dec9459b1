"""The terminal and the page tell the same number in the same way."""

import io
import re

from rich.console import Console

from batch.advice.recommend import Facts, recommendation
from batch.advice.show import show as show_advice
from batch.proof.show import show
from batch.report.page import page
from tests.support import reports
from tests.support.markup import parsed


def test_shares_and_times_of_a_proof_read_as_on_its_page() -> None:
    report = reports.failing()
    assert report.proof is not None
    latency = report.proof.latency
    assert latency is not None
    slow = report.proof.model_copy(
        update={
            "latency": latency.model_copy(update={"p50": 0.3127, "largest": 4_000.0}),
            "notes": [],
        }
    )
    printed = io.StringIO()
    show(slow, Console(file=printed, width=300))
    shown, read = printed.getvalue(), parsed(page(report.model_copy(update={"proof": slow}))).text
    shares = set(re.findall(r"[\d.]+%", shown))
    assert {"98.2%", "8.1%", "0.42%"} <= shares
    assert [share for share in shares if share not in read] == []
    for time in ("313 ms", "1 h 7 min"):
        assert time in shown
        assert time in read


def test_shares_and_figures_of_an_advice_read_the_same_in_its_sentence_its_table_and_on_its_page() -> None:
    advice = reports.advice()
    hourly = advice.cadences[2].model_copy(update={"stale": 21_330, "without": 0})
    cadences = [advice.cadences[0], hourly]
    facts = Facts(cadences, 0.03, advice.seconds, advice.events, 48_210, 141_421.0, 6_120, measured=True)
    told = advice.model_copy(update={"cadences": cadences, "recommendation": recommendation(facts)})
    printed = io.StringIO()
    show_advice(told, Console(file=printed, width=300))
    table, _, sentence = printed.getvalue().partition("Score every hour")
    read = parsed(page(reports.holding().model_copy(update={"proof": None, "advice": told}))).text
    headline, _, rest = read.partition("Cadence")
    for share in (table, sentence, headline, rest):
        assert "2.15%" in share
    age = advice.cadences[2].age
    assert age is not None
    assert age.p50 == 1_870.0
    for shown in (table, rest):
        assert "31 min 10 s" in shown
    for shown in (table, sentence, headline):
        assert "121" in shown
