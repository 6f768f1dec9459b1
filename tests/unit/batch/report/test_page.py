"""The page of a report says what the report holds, needs nothing but itself, and takes no text for HTML."""

import re
from importlib import resources
from typing import Any

import pytest

from batch.proof.classes import CLASSES, Found
from batch.proof.result import Histogram
from batch.report.document import Report
from batch.report.page import headline, page
from tests.support import reports
from tests.support.markup import parsed

SAMPLES = {
    "holding": reports.holding(),
    "failing": reports.failing(),
    "replayed": reports.replayed(),
    "advised": reports.holding().model_copy(update={"proof": None}),
}
PROOF = {"classes", "ledger", "parity", "models", "latency", "throughput"}
ENDING = {"environment", "settings"}
SECTIONS = {
    "holding": PROOF | {"advice"} | ENDING,
    "failing": PROOF | {"differences", "explained", "features"} | ENDING,
    "replayed": {"replay", "segments", "affected"} | ENDING,
    "advised": {"advice"} | ENDING,
}


@pytest.fixture(params=SAMPLES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_page_has_the_sections_of_its_report_and_no_other(name: str) -> None:
    found = parsed(page(SAMPLES[name]))
    sections = {attributes["id"] for tag, attributes in found.elements if tag == "section"}
    assert sections == SECTIONS[name]


def test_the_verdict_comes_first(name: str) -> None:
    text = parsed(page(SAMPLES[name])).text
    said = headline(SAMPLES[name])
    assert text.index(said) < 200
    assert f"Tandem: {said}" in text[: 30 + len(said)]


@pytest.mark.parametrize("report", [reports.holding(), reports.failing()], ids=["holding", "failing"])
def test_a_page_has_the_verdict_that_the_terminal_has(report: Report) -> None:
    assert report.proof is not None
    text = parsed(page(report)).text
    assert report.proof.verdict in text
    assert report.proof.certificate in text.replace(" ", "")
    for found in CLASSES:
        if report.proof.counts[found]:
            assert f"{found.replace('_', ' ')}" in text
            assert f"{report.proof.counts[found]:,}" in text


def test_nothing_is_asked_for_from_anywhere(name: str) -> None:
    found = parsed(page(SAMPLES[name]))
    addresses = [
        value
        for _, attributes in found.elements
        for attribute, value in attributes.items()
        if attribute in {"src", "srcset", "href", "xlink:href", "action", "data", "poster", "background"}
    ]
    assert addresses == ["data:,"]
    assert not re.search(r"url\(|@import|@font-face|image-set|https?:", found.style)
    assert not re.search(r"url\(|https?:", " ".join(a.get("style", "") for _, a in found.elements))


def test_no_script_runs(name: str) -> None:
    found = parsed(page(SAMPLES[name]))
    assert not {tag for tag, _ in found.elements} & {"script", "iframe", "object", "embed", "form", "base"}
    assert not [a for _, attributes in found.elements for a in attributes if a.startswith("on")]
    (policy,) = (
        attributes["content"]
        for tag, attributes in found.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none';")
    assert "script" not in policy


@pytest.mark.parametrize("kind", ["holding", "failing", "replayed"])
def test_no_text_of_a_report_is_taken_for_html(kind: str) -> None:
    """Every text gets an ending that is HTML: the page has the elements that it has without."""
    report = SAMPLES[kind]
    hostile = Report.model_validate(_with_ending(report.model_dump(mode="json"), reports.HOSTILE))
    harmless = Report.model_validate(_with_ending(report.model_dump(mode="json"), "x" * len(reports.HOSTILE)))
    found = parsed(page(hostile))
    assert found.shape == parsed(page(harmless)).shape
    assert " ".join(reports.HOSTILE.split()) in found.text


def _with_ending(value: Any, ending: str, name: str = "") -> Any:
    """A dumped report in which every text that may be any text ends with this one."""
    if isinstance(value, str):
        return value if name in {"made", "found", "unit"} else value + ending
    if isinstance(value, list):
        return [_with_ending(item, ending, name) for item in value]
    if isinstance(value, dict):
        free = name in {"topics", "command", "libraries", "newly_rejected"}
        return {
            key + ending if free else key: _with_ending(item, ending, name if free else key)
            for key, item in value.items()
        }
    return value


def test_what_cannot_be_printed_is_shown_as_an_escape() -> None:
    found = parsed(page(reports.failing("a\x1b[31m\u202eb")))
    assert r"a\x1b[31m\u202eb" in found.text
    assert "\x1b" not in found.text
    assert "\u202e" not in found.text


def test_ids_are_unique_and_every_drawing_is_told_in_words(name: str) -> None:
    found = parsed(page(SAMPLES[name]))
    assert len(found.ids) == len(set(found.ids))
    drawings = [attributes for tag, attributes in found.elements if tag == "svg" and "role" in attributes]
    for drawing in drawings:
        assert set(drawing["aria-labelledby"].split()) <= set(found.ids)
    assert bool(drawings) == (name != "replayed")


def test_partitions_beyond_a_few_are_folded_but_for_those_that_do_not_close() -> None:
    html = page(reports.ledgers_of(1_000))
    before, _, folded = html.partition("<details>")
    text = parsed(html).text
    assert "All 1,000 partitions" in text
    assert before.count("does not close") == 1
    assert before.count('<tr class="good">') < 20
    assert folded.count(">closes<") == 999


def test_segments_beyond_a_few_are_folded() -> None:
    html = page(reports.replayed(segments=200))
    assert "184 more of tenure_months" in parsed(html).text
    assert html.count("<details>") == 1


@pytest.mark.parametrize("kind", ["holding", "failing"])
def test_a_proof_of_nothing_has_a_page(kind: str) -> None:
    report = SAMPLES[kind]
    assert report.proof is not None
    nothing = report.proof.model_copy(
        update={
            "counts": dict.fromkeys(Found, 0),
            "ledger": [],
            "matrix": {},
            "models": [],
            "latency": None,
            "stream_rate": None,
            "batch_rate": None,
        }
    )
    text = parsed(page(report.model_copy(update={"proof": nothing}))).text
    assert "Nothing is proved" in text
    assert "Not identical" in text


def test_an_advice_without_a_decision_in_force_has_a_page() -> None:
    advice = reports.advice()
    first, *others = (
        cadence.model_copy(update={"age": None, "standing": None}) for cadence in advice.cadences
    )
    some = reports.advice().cadences[1]
    for cadences in ([first], [first, *others], [first, some]):
        report = reports.holding().model_copy(
            update={"proof": None, "advice": advice.model_copy(update={"cadences": cadences})}
        )
        text = parsed(page(report)).text
        assert text.count("Age of the decision") == 2 * (some in cadences)
        unaged = sum(cadence.age is None for cadence in cadences)
        assert text.count("\u2013") >= 3 * unaged, "a dash for both ages, and for how long one stood"


@pytest.mark.parametrize(
    ("bounds", "counts", "largest"),
    [
        ([], [5], 0.0),
        ([0.001], [5, 0], 0.0),
        ([0.001, 0.002], [0, 0, 5], 7.0),
        ([0.0, 1.0], [2, 3, 1], 1.5),
        ([-1.0, 0.0, 1.0], [1, 2, 3, 0], 1.0),
        ([1.0, 2.0, 3.0], [1, 1, 1, 1], 3.5),
        ([10.0**power for power in range(-3, 9)], [0] * 11 + [1, 0], 1e8),
    ],
)
def test_any_histogram_can_be_drawn(bounds: list[float], counts: list[int], largest: float) -> None:
    report = reports.holding(advised=False)
    assert report.proof is not None
    histogram = Histogram(
        unit="seconds", bounds=bounds, counts=counts, p50=largest, p99=largest, largest=largest
    )
    proof = report.proof.model_copy(update={"latency": histogram})
    found = parsed(page(report.model_copy(update={"proof": proof})))
    bars = [attributes for tag, attributes in found.elements if tag == "rect"]
    assert len(bars) >= 2
    assert all(float(bar["width"]) > 0 and float(bar["height"]) >= 0 for bar in bars)


def test_colours_can_be_told_from_their_ground() -> None:
    """WCAG 2.2 AA: a contrast of 4.5 to 1 between text and what it stands on, in light and dark."""
    style = resources.files("batch.report").joinpath("style.css").read_text(encoding="utf-8")
    themes = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", block)) for block in style.split(":root {")[1:]
    ]
    assert len(themes) == 3  # light, dark, print
    pairs = [
        *(
            (text, ground)
            for text in ("ink", "quiet", "good", "bad", "data", "other")
            for ground in ("paper", "card")
        ),
        *(("ink", ground) for ground in ("faint", "mark", "good-1", "good-4", "bad-1", "bad-4")),
        ("quiet", "faint"),
        ("good", "good-1"),
        ("quiet", "good-1"),
    ]
    light, *rest = themes
    for theme in (light, *({**light, **other} for other in rest)):
        for text, ground in pairs:
            assert _contrast(theme[text], theme[ground]) >= 4.5, (text, ground, theme[text], theme[ground])


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
