"""A minute and a half in which all goes wrong, in an order that a seed has drawn; `make chaos` is longer."""

from pathlib import Path

import pytest

from tests.chaos.harness import report
from tests.chaos.harness.plan import Action, make_plan
from tests.chaos.harness.run import SESSION, Order, carry_out

pytestmark = [pytest.mark.broker, pytest.mark.chaos]

# A seed whose stopped worker is left alone until it goes on, as a zombie.
SEED = 7
SECONDS = 90.0
WORKERS = 3


def test_the_guarantees_hold_whatever_goes_wrong(tmp_path: Path) -> None:
    """Exactly-once: nothing lost, nothing twice, order kept. At-least-once, beside it: nothing lost."""
    steps = make_plan(SEED, SECONDS, workers=WORKERS, session=SESSION)
    assert {step.action for step in steps} == set(Action) - {Action.KILL_BROKER}
    outcome = carry_out(Order(steps, SEED, SECONDS, rate=300, workers=WORKERS), tmp_path)
    shown = f"{report.table(outcome)}\n\n{report.pause_table(outcome)}"
    print(shown)
    assert report.failures(outcome) == [], shown
    for verdict in outcome.verdicts:
        findings = verdict.findings
        assert findings.scored + findings.rejected == findings.stored > SECONDS
        # The trouble was met, not slept through.
        assert len(findings.models) > 1
        assert verdict.zombies > 0
