"""The terminal and the page tell the same number in the same way."""

import io
import re

from rich.console import Console

from batch.proof.show import show
from batch.report.page import page
from tests.support import reports
from tests.support.html import parsed


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
