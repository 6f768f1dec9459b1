"""A proof of what a consumer did while it was killed and its model swapped; proof_kills.py does a million."""

from pathlib import Path

import pytest

from tests.chaos.proof_kills import Order, run

pytestmark = [pytest.mark.broker, pytest.mark.chaos]


def test_kills_and_two_swaps_leave_every_event_identical_and_conserved(tmp_path: Path) -> None:
    found = run(Order(events=20_000, rate=1_500, kills=4), tmp_path)
    assert found.kills > 0
    # What the proof says is what an independent reader of the topics finds.
    assert found.positions == found.events == found.predictions + found.letters == 20_000
    counts = found.proof["counts"]
    assert counts["identical"] == found.predictions
    assert counts["rejected_alike"] == found.letters > 0
    assert len(found.proof["models"]) == 3
    assert found.proof["holds"]
    assert "Identical and conserved" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
