"""The tour of docs/tour.md, command by command, and what the live page shows of each."""

import shlex
from typing import Any

import pytest

from demo.page import KILL
from tests.compose.project import Project

pytestmark = [pytest.mark.compose, pytest.mark.usefixtures("opened")]


def in_role(state: dict[str, Any], role: str) -> list[str]:
    return sorted({model["name"] for model in state["models"] if model["role"] == role})


def test_the_page_shows_the_proof_and_events_go_on(project: Project) -> None:
    state = project.until(lambda state: state["proof"] is not None)
    assert state["proof"]["holds"]
    assert "Identical and conserved" in project.get("page/report").decode()
    project.until(lambda later: later["ledger"]["read"] > state["ledger"]["read"])


def test_a_killed_worker_is_back_and_its_partitions_go_on(project: Project) -> None:
    before = project.until(lambda state: state["ready"])
    project.run(*shlex.split(KILL)[2:])

    def back(state: dict[str, Any]) -> bool:
        return bool(state["ready"]) and state["workers"][0]["pid"] != before["workers"][0]["pid"]

    after = project.until(back)
    assert after["about"]["run"] == before["about"]["run"]
    assert after["workers"][1]["pid"] == before["workers"][1]["pid"]
    assert after["ledger"]["balanced"]
    project.until(lambda state: state["ledger"]["read"] > after["ledger"]["read"] and state["lag"] == 0)


def test_a_killed_consumer_is_back_at_the_same_address(project: Project) -> None:
    before = project.until(lambda state: state["ready"])
    project.run("restart", "--timeout", "0", "consumer")
    project.until(lambda state: state["ready"] and state["about"]["run"] != before["about"]["run"])


def test_poison_becomes_dead_letters_of_many_reasons(project: Project) -> None:
    before = project.until(lambda state: state["ready"])["ledger"]
    project.run("run", "--rm", "poison")
    after = project.until(lambda state: state["ledger"]["rejected"] >= before["rejected"] + 60)
    assert len(after["ledger"]["reasons"]) >= 8
    assert after["ledger"]["scored"] > before["scored"]
    assert after["ready"]
    assert after["ledger"]["balanced"]


def test_swap_lets_champion_and_challenger_change_places(project: Project) -> None:
    before = project.until(lambda state: state["ready"])
    champion, challenger = in_role(before, "champion"), in_role(before, "shadow")
    project.run("run", "--rm", "swap")
    after = project.until(
        lambda state: (in_role(state, "champion"), in_role(state, "shadow")) == (challenger, champion)
    )
    assert [swap["what"] for swap in after["swaps"][:2]] == ["swapped", "swapped"]


def test_the_batch_job_scores_the_topic_with_the_new_champion(project: Project) -> None:
    (champion,) = in_role(project.state(), "champion")
    shown = project.run("run", "--rm", "batch")
    assert "manifest.json" in shown
    assert f" {champion}@" in shown.split("batch score")[1]


def test_the_proof_holds_over_all_of_it_and_the_page_shows_it(project: Project) -> None:
    before = project.state()["proof"]
    shown = project.run("run", "--rm", "prove")
    assert "✓ Identical and conserved" in shown
    assert "Scored by churn@" in shown
    assert "Scored by churn-linear@" in shown
    after = project.until(lambda state: state["proof"]["at"] > before["at"])
    assert after["proof"]["holds"]
    assert after["proof"]["events"] > before["events"]


def test_the_services_for_prometheus_and_grafana_are_understood(project: Project) -> None:
    assert "grafana" in project.run("--profile", "monitoring", "config", "--services").split()
