"""`python -m batch drift`: whether inputs, scores and decisions are spread otherwise than before."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console
from rich.table import Table
from rich.text import Text

from batch.divergence import JS_OF_PSI, Bin, Divergence, divergence
from batch.drift_sides import Side, load_side
from batch.terminal import print_whole
from shared import logs
from shared.errors import ExitCode, InputError
from shared.logs import LogSettings
from shared.settings import CommandSettings, load
from shared.sketches.feature import FeatureSketch

Verdict = Literal["drifted", "stable", "too few rows"]


class DriftSettings(LogSettings, CommandSettings):
    """Compares how the inputs, the scores and the decisions of two sides are spread.

    Each side is an output folder of `python -m batch score`, a snapshot that `python -m batch export` made
    with --model, or what the stream's workers wrote with --sketch: a file, a folder or a quoted glob pattern.
    Nothing is read but their sketches. The exit status is 1 when a feature is over a limit.

    Example:
      python -m batch drift scored-in-may scored-today
      python -m batch drift scored-in-may sketches/churn@2-4f1c09a7be21 --limit 0.1 --js-limit 0.05 --json
    """

    a: CliPositionalArg[str] = Field(description="What is known to be well: its deciles make the bins.")
    b: CliPositionalArg[str] = Field(description="What is looked at.")
    limit: float = Field(
        0.2, gt=0, description="The population stability index above which a feature has drifted."
    )
    js_limit: float | None = Field(
        None, gt=0, le=1, description="The same of the Jensen-Shannon divergence, in bits; no limit if unset."
    )
    as_json: bool = Field(False, alias="json", description="Print JSON, with all bins, instead of a table.")


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """How far a feature has moved.

    Attributes:
        name: The input, or score or decision.
        of: Whether it is an input of the model or what it said.
        verdict: Whether it is over a limit; too few rows when samples of this size could be by chance.
        psi: The population stability index (see batch/divergence.py).
        js: The Jensen-Shannon divergence, in bits.
        noise: What the PSI may be by chance; None without rows.
        rows_a: Valid rows of A, those without a value included.
        rows_b: The same of B.
        missing_a: The share of A's rows without a value.
        missing_b: The same of B's.
        bins: Each side's share of each bin.
    """

    name: str
    of: Literal["input", "output"]
    verdict: Verdict
    psi: float
    js: float
    noise: float | None
    rows_a: int
    rows_b: int
    missing_a: float
    missing_b: float
    bins: list[Bin]


@dataclass(frozen=True, slots=True)
class Drift:
    """What became of the comparison.

    Attributes:
        features: The worst first.
        only_in_a: Inputs that only A has.
        only_in_b: Inputs that only B has.
        of_other_type: Inputs that both have, as values of another type.
    """

    features: list[FeatureDrift]
    only_in_a: list[str]
    only_in_b: list[str]
    of_other_type: list[str]

    @property
    def drifted(self) -> bool:
        """Whether a feature is over a limit."""
        return any(feature.verdict == "drifted" for feature in self.features)


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Raises:
        TandemError: A side cannot be read, or they have nothing in common.
    """
    settings = load(DriftSettings, arguments, "python -m batch drift")
    logs.set_up(settings.log_format, settings.log_level)
    a, b = load_side(settings.a), load_side(settings.b)
    drift = compare(a, b, settings.limit, settings.js_limit)
    if settings.as_json:
        print(json.dumps(_as_json(settings, a, b, drift), indent=2))
    else:
        show(settings, a, b, drift)
    return ExitCode.ANSWER_IS_NO if drift.drifted else ExitCode.DONE


def compare(a: Side, b: Side, limit: float, js_limit: float | None) -> Drift:
    """Compares all that both sides have.

    Args:
        a: What is known to be well.
        b: What is looked at.
        limit: The PSI above which a feature has drifted.
        js_limit: The same of the Jensen-Shannon divergence; None: it does not matter.

    Raises:
        InputError: They have no input in common.
    """
    inputs_a, inputs_b = a.sketches.features, b.sketches.features
    common = [name for name in inputs_a if name in inputs_b]
    features: list[FeatureDrift] = []
    of_other_type = []
    for name, of, ours, theirs in _pairs(a, b, common):
        found = divergence(ours, theirs)
        if found is None:
            of_other_type.append(name)
        else:
            verdict = verdict_on(found, limit, js_limit)
            features.append(_feature(name, of, ours, theirs, found, verdict))
    if len(of_other_type) == len(common):
        raise InputError(
            f"{a.name} and {b.name} have no input in common:"
            f" {', '.join(inputs_a)} in one, {', '.join(inputs_b)} in the other",
            hint="Compare what was read by the inputs of the same model, or of one that shares some.",
        )
    features.sort(key=lambda feature: (-feature.psi, feature.name))
    return Drift(
        features,
        [name for name in inputs_a if name not in inputs_b],
        [name for name in inputs_b if name not in inputs_a],
        of_other_type,
    )


def _pairs(
    a: Side, b: Side, common: Sequence[str]
) -> Iterator[tuple[str, Literal["input", "output"], FeatureSketch, FeatureSketch]]:
    for name in common:
        yield name, "input", a.sketches.features[name], b.sketches.features[name]
    # A snapshot was not scored.
    if a.sketches.score.rows and b.sketches.score.rows:
        yield "score", "output", a.sketches.score, b.sketches.score
        yield "decision", "output", a.sketches.decision, b.sketches.decision


def verdict_on(found: Divergence, limit: float, js_limit: float | None) -> Verdict:
    """Whether a divergence is over a limit, and whether that could be by chance.

    Args:
        found: The divergence.
        limit: The most that the PSI may be.
        js_limit: The most that the Jensen-Shannon divergence may be, in bits; None: any.
    """
    limits = [(found.psi, found.noise, limit)]
    if js_limit is not None:
        limits.append((found.js, found.noise * JS_OF_PSI, js_limit))
    if any(value > most and by_chance < most for value, by_chance, most in limits):
        return "drifted"
    return "too few rows" if any(by_chance >= most for _, by_chance, most in limits) else "stable"


def _feature(
    name: str,
    of: Literal["input", "output"],
    a: FeatureSketch,
    b: FeatureSketch,
    found: Divergence,
    verdict: Verdict,
) -> FeatureDrift:
    return FeatureDrift(
        name,
        of,
        verdict,
        found.psi,
        found.js,
        found.noise if math.isfinite(found.noise) else None,
        a.rows,
        b.rows,
        a.missing / a.rows if a.rows else 0.0,
        b.missing / b.rows if b.rows else 0.0,
        found.bins,
    )


def _as_json(settings: DriftSettings, a: Side, b: Side, drift: Drift) -> dict[str, object]:
    sides = {
        name: {
            "name": side.name,
            "model": side.model,
            "model_sha256": side.model_sha256,
            "rows": side.sketches.rows,
        }
        for name, side in (("a", a), ("b", b))
    }
    limits = {"limit": settings.limit, "js_limit": settings.js_limit}
    return {**sides, **limits, "drifted": drift.drifted, **asdict(drift)}


def show(settings: DriftSettings, a: Side, b: Side, drift: Drift, console: Console | None = None) -> None:
    """Prints the answer for people.

    Args:
        settings: The limits.
        a: What is known to be well.
        b: What is looked at.
        drift: The answer.
        console: Where to; standard output unless given.
    """
    console = console or Console(highlight=False)
    for name, side in (("A", a), ("B", b)):
        text = f"{name}: {side.name}, {side.sketches.rows:,} valid rows, {side.model}"
        console.print(Text(text, style="dim"), soft_wrap=True)
    print_whole(console, _table(drift))
    if a.model_sha256 != b.model_sha256:
        text = f"The models differ: {_named(a)} in A, {_named(b)} in B."
        console.print(Text(text, style="yellow"), soft_wrap=True)
    for names, what in (
        (drift.only_in_a, "Only in A"),
        (drift.only_in_b, "Only in B"),
        (drift.of_other_type, "Of another type in A than in B"),
    ):
        if names:
            console.print(Text(f"{what}: {', '.join(names)}", style="yellow"), soft_wrap=True)
    console.print(_verdict(settings, drift), soft_wrap=True)


def _named(side: Side) -> str:
    return f"{side.model} ({side.model_sha256[:12]})"


def _table(drift: Drift) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("feature", overflow="fold")
    for column in ("PSI", "by chance", "JS", "rows A", "rows B", "missing A", "missing B"):
        table.add_column(column, justify="right")
    table.add_column("")
    table.add_column("moved most", overflow="fold", style="dim")
    styles: dict[Verdict, str] = {"drifted": "red", "stable": "green", "too few rows": "yellow"}
    for feature in drift.features:
        table.add_row(
            Text(feature.name if feature.of == "input" else f"{feature.name} (of the model)"),
            f"{feature.psi:.3f}",
            "-" if feature.noise is None else f"{feature.noise:.3f}",
            f"{feature.js:.3f}",
            f"{feature.rows_a:,}",
            f"{feature.rows_b:,}",
            f"{feature.missing_a:.1%}" if feature.missing_a else "-",
            f"{feature.missing_b:.1%}" if feature.missing_b else "-",
            Text(feature.verdict, style=styles[feature.verdict]),
            Text(_moved_most(feature.bins)),
        )
    return table


def _moved_most(bins: Sequence[Bin]) -> str:
    if not bins:
        return ""
    most = max(bins, key=lambda found: abs(found.b - found.a))
    return f"{most.name}: {most.a:.1%} to {most.b:.1%}"


def _verdict(settings: DriftSettings, drift: Drift) -> Text:
    js = "" if settings.js_limit is None else f", or a Jensen-Shannon divergence above {settings.js_limit:g}"
    over = [feature.name for feature in drift.features if feature.verdict == "drifted"]
    few = [feature.name for feature in drift.features if feature.verdict == "too few rows"]
    said = f"a PSI above {settings.limit:g}{js}"
    undecided = f" Too few rows for a verdict on {', '.join(few)}." if few else ""
    if over:
        return Text(f"Drifted: {', '.join(over)} ({said}).{undecided}", style="red")
    if len(few) == len(drift.features):
        return Text(f"No verdict: there are too few rows to tell {said} from chance.", style="yellow")
    return Text(f"No drift: no feature has {said}.{undecided}", style="yellow" if few else "green")
