"""The files for Prometheus and Grafana name the metrics, and one another, as they are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from consumer.operations.measures import FAMILIES
from consumer.web.settings import HttpSettings

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "demo" / "monitoring"
GRAFANA = FOLDER / "grafana"
DASHBOARD = GRAFANA / "dashboards" / "tandem.json"
COMPOSE = ROOT / "docker-compose.yml"
#: What Prometheus itself adds to each series.
ADDED = {"job", "instance"}
#: Every series that a consumer shows, and its labels.
SERIES = {
    name: {*family.labels, *more}
    for family in FAMILIES
    for name, more in (
        [(f"{family.name}_bucket", ["le"]), (f"{family.name}_sum", []), (f"{family.name}_count", [])]
        if family.kind == "histogram"
        else [(family.name, [])]
    )
}
FAMILY_OF = {
    name: next(family.name for family in FAMILIES if name.startswith(family.name)) for name in SERIES
}
_SERIES = re.compile(r"\b(tandem_[a-z_]+)(?:\{([^}]*)\})?")
_LABEL = re.compile(r"\s*(\w+)")
_GROUPED = re.compile(r"\bby \(([^)]*)\)")
_LEGEND = re.compile(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}")


def load(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)


def labels_of(matchers: str) -> set[str]:
    return {found[1] for part in matchers.split(",") if (found := _LABEL.match(part))}


def faults(expression: str, shown: str = "") -> list[str]:
    """What an expression, and the text with its labels in it, name that no consumer shows."""
    found, there = [], set(ADDED)
    for name, matchers in _SERIES.findall(expression):
        labels = SERIES.get(name)
        if labels is None:
            found.append(f"there is no {name}")
            continue
        there |= labels
        found += [f"{name} has no {label}" for label in sorted(labels_of(matchers) - labels - ADDED)]
    grouped = {label for names in _GROUPED.findall(expression) for label in labels_of(names)}
    return found + [f"no {label} in {expression}" for label in sorted((grouped | legend(shown)) - there)]


def legend(text: str) -> set[str]:
    return set(_LEGEND.findall(text))


def panels() -> list[dict[str, Any]]:
    """The dashboard's panels, without its headings."""
    return [panel for panel in load(DASHBOARD)["panels"] if panel["type"] != "row"]


def targets() -> list[tuple[str, dict[str, Any]]]:
    """Each query of the dashboard, with its panel's title."""
    return [(panel["title"], target) for panel in panels() for target in panel["targets"]]


def rules() -> list[dict[str, Any]]:
    return [rule for group in load(FOLDER / "alerts.yml")["groups"] for rule in group["rules"]]


def test_a_name_or_label_that_is_not_there_is_found() -> None:
    assert faults("sum by (le) (rate(tandem_event_age_seconds_bucket[5m]))") == []
    assert faults("tandem_event_age_seconds") == ["there is no tandem_event_age_seconds"]
    assert faults('tandem_events_read_total{reason="null"}') == ["tandem_events_read_total has no reason"]
    assert faults("sum by (worker) (tandem_events_read_total)")
    assert faults("tandem_ready", "{{instance}} {{worker}} {{partition}}") == ["no partition in tandem_ready"]


@pytest.mark.parametrize(("title", "target"), targets(), ids=lambda value: str(value)[:40])
def test_a_query_of_the_dashboard_names_what_a_consumer_shows(title: str, target: dict[str, Any]) -> None:
    assert faults(target["expr"], target["legendFormat"]) == [], title


def test_the_dashboard_shows_every_metric() -> None:
    expressions = " ".join(target["expr"] for _, target in targets())
    shown = {FAMILY_OF[name] for name, _ in _SERIES.findall(expressions)}
    assert shown == {family.name for family in FAMILIES}


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows_and_in_what_unit(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]


def test_the_panels_have_places_and_numbers_of_their_own() -> None:
    everything = load(DASHBOARD)["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    taken: dict[tuple[int, int], str] = {}
    for panel in everything:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]


def test_the_dashboard_asks_the_data_source_that_is_provided() -> None:
    (source,) = load(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    board = load(DASHBOARD)
    asked = [panel["datasource"] for panel in panels()]
    asked += [target["datasource"] for _, target in targets()]
    asked += [annotation["datasource"] for annotation in board["annotations"]["list"]]
    assert {(one["type"], one["uid"]) for one in asked} == {(source["type"], source["uid"])}


def test_the_alerts_are_those_of_the_documents() -> None:
    told = re.findall(
        r"^\| [^|]+ \| `([^`]+)`(?: for (\w+))? \|",
        (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8").split("## Alerts")[1].split("\n## ")[0],
        re.MULTILINE,
    )
    assert told
    assert [(rule["expr"], rule.get("for", "")) for rule in rules()] == told


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_names_what_a_consumer_shows_and_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["alert"].startswith("Tandem")
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "action"}
    for text in rule["annotations"].values():
        assert faults(rule["expr"], text) == []


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_a_document_names_metrics_and_labels_that_there_are(path: Path) -> None:
    known = {**SERIES, **{family.name: set(family.labels) for family in FAMILIES}}
    for name, matchers in _SERIES.findall(path.read_text(encoding="utf-8")):
        assert name in known, f"{path.name}: there is no {name}"
        assert labels_of(matchers) <= known[name] | ADDED, f"{path.name}: {name}{{{matchers}}}"


def test_prometheus_scrapes_the_port_of_every_consumer_under_the_name_that_the_alerts_use() -> None:
    settings = load(FOLDER / "prometheus.yml")
    (job,) = settings["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    assert found["names"] == ["consumer"]
    assert set(found["names"]) <= set(load(COMPOSE)["services"])
    assert found["port"] == HttpSettings().http_port
    jobs = {name for rule in rules() for name in re.findall(r'job="([^"]*)"', rule["expr"])}
    assert jobs == {job["job_name"]}
    assert [FOLDER / name for name in settings["rule_files"]] == [FOLDER / "alerts.yml"]


def test_every_image_of_others_has_a_version() -> None:
    images = [service["image"] for service in load(COMPOSE)["services"].values() if "build" not in service]
    assert all(re.fullmatch(r"[\w./-]+:v?\d+(\.\d+)+", image) for image in images), images


def test_the_services_are_given_the_files() -> None:
    services = load(COMPOSE)["services"]
    mounted = {
        name: dict(volume.split(":")[:2] for volume in services[name]["volumes"] if volume.startswith("./"))
        for name in ("prometheus", "grafana")
    }
    for path in (path for paths in mounted.values() for path in paths):
        assert (ROOT / path).exists(), path
    (provider,) = load(GRAFANA / "provisioning" / "dashboards" / "tandem.yml")["providers"]
    assert mounted["grafana"]["./demo/monitoring/grafana/dashboards"] == provider["options"]["path"]
    (source,) = load(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert all(set(services[name]["profiles"]) == {"monitoring"} for name in mounted)
