"""report.html: a report as one page that needs nothing but itself."""

from datetime import datetime
from importlib import resources
from typing import Final

from jinja2 import Environment as Templates
from jinja2 import PackageLoader, StrictUndefined
from markupsafe import Markup

from batch.proof.result import Proof
from batch.replaying.verdict import Tone, tone
from batch.replaying.verdict import verdict as replayed
from batch.report import figures
from batch.report.charts import ages, spread
from batch.report.cost_chart import costs
from batch.report.document import Report
from batch.report.marks import marked
from batch.report.views import books, classes, examples, explained, features, matrix, segments, unbalanced
from shared import wording
from shared.visible import visible

_TEMPLATE: Final = "report.html.jinja"
# By what a replay found, how its page looks; a change is neither good nor bad.
_LOOKS: Final[dict[Tone, str]] = {"same": "holds", "changed": "plain", "nothing to compare": "fails"}


def page(report: Report) -> str:
    """The page of a report: no script, no request, and no text of an event that is taken for HTML."""
    templates = Templates(
        loader=PackageLoader("batch.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "count": figures.count,
        "digits": wording.digits,
        "duration": wording.duration,
        "measure": figures.measure,
        "percent": wording.percent,
        "price": wording.price,
        "signed": wording.signed,
        "visible": visible,
        "moment": moment,
    }
    templates.globals |= {
        "part": wording.part,
        "marked": marked,
        "spread": spread,
        "ages": ages,
        "costs": costs,
    }
    style = resources.files("batch.report").joinpath("style.css").read_text(encoding="utf-8")
    return templates.get_template(_TEMPLATE).render(
        report=report,
        style=Markup(style),  # noqa: S704 - this package's own
        headline=headline(report),
        looks=_looks(report),
        **_proof(report.proof),
        segments=None if report.replay is None else segments(report.replay),
    )


def headline(report: Report) -> str:
    """What a report says first: the verdict, or the recommendation, or which decisions flip."""
    if report.proof is not None:
        return report.proof.verdict
    if report.advice is not None:
        return report.advice.recommendation
    if report.replay is not None:
        return replayed(report.replay)
    raise ValueError("a report has at least one section")


def _looks(report: Report) -> str:
    """How the head looks: that of what `holds`, of what `fails`, or the `plain` one."""
    if report.proof is not None:
        return "holds" if report.proof.holds else "fails"
    if report.advice is None and report.replay is not None:
        return _LOOKS[tone(report.replay)]
    return "plain"


def moment(text: str) -> str:
    """An RFC 3339 time as people write it: 14 March 2026, 09:26:53 UTC."""
    time = datetime.fromisoformat(text)
    return f"{time.day} {time:%B %Y, %H:%M:%S} {time.tzname() or ''}".strip()


def _proof(proof: Proof | None) -> dict[str, object]:
    """What the page says of a proof and does not take from it as it stands."""
    if proof is None:
        return {}
    return {
        "classes": classes(proof),
        "books": books(proof),
        "unbalanced": unbalanced(proof),
        "matrix": matrix(proof),
        "examples": examples(proof),
        "explained": explained(proof),
        "features": features(proof),
    }
