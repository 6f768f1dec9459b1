"""What a certificate says, in sentences and as a table on a terminal."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from batch.model.certificate import CERTIFICATE_FILE, MEANINGS, PAGE_FILE, Certificate, Combination, Trial
from shared.models.directory import MODEL_FILE

_AXES: Final = {"threads": "on {} threads", "size": "in batches of {}", "order": "{}", "route": "from {}"}
COLORS: Final = {"bit-stable": "green", "row-by-row": "yellow", "refused": "red"}


def reason_of(trial: Trial) -> str:
    """Where a trial that is not stable fails, and how badly at worst: a sentence without its full stop."""
    failing = [combination for combination in trial.combinations if not combination.stable]
    worst = max(failing, key=lambda found: (found.flipped, found.rejected, found.max_ulps, found.different))
    only = _only_where(trial.combinations, failing)
    return (
        f"{len(failing)} of {len(trial.combinations)} combinations differ{', all ' + only if only else ''};"
        f" at worst {_told(worst)} of {worst.rows:,} scores"
    )


def _only_where(tried: tuple[Combination, ...], failing: list[Combination]) -> str:
    """What the failing combinations have in common that the others need not have."""
    common = []
    for axis, words in _AXES.items():
        values = list(dict.fromkeys(getattr(combination, axis) for combination in tried))
        found = [value for value in values if value in {getattr(each, axis) for each in failing}]
        if len(found) < len(values):
            shown = [f"{value:,}" if isinstance(value, int) else shown_route(value) for value in found]
            common.append(words.format(listed(shown)))
    return ", ".join(common)


def listed(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def shown_route(name: str) -> str:
    """A route or order as people write it."""
    return {"json": "JSON", "csv": "CSV", "parquet": "Parquet"}.get(name, name)


def _told(found: Combination) -> str:
    told = []
    if found.different:
        told.append(f"{found.different:,} by up to {counted(found.max_ulps, 'ulp')}")
    if found.rejected:
        told.append(f"{found.rejected:,} not scored")
    if found.flipped:
        told.append(f"{counted(found.flipped, 'decision')} flipped")
    return ", ".join(told)


def cell_of(found: Combination) -> str:
    """What became of a combination, in few words."""
    return "identical" if found.stable else _told(found)


def counted(count: int, word: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def lines_of(trial: Trial) -> Iterator[tuple[tuple[str, str, int], list[Combination]]]:
    """A trial as a table: for each route, order and number of threads, the combination of each size."""

    def place(found: Combination) -> tuple[str, str, int]:
        return found.route, found.order, found.threads

    for key, found in groupby(sorted(trial.combinations, key=place), key=place):
        yield key, sorted(found, key=lambda combination: combination.size)


def headline(certificate: Certificate) -> str:
    """The verdict: `churn@1 is bit-stable`."""
    return f"{certificate.model.id} is {MEANINGS[certificate.verdict]}"


def explained(certificate: Certificate) -> str:
    """The verdict in full sentences."""
    last = certificate.trials[-1]
    scores = sum(combination.rows for combination in last.combinations)
    held = (
        f"Every row got the same bits in all {len(last.combinations)} combinations of batch size, order, "
        f"route and threads ({scores:,} scores compared) as it gets alone"
    )
    match certificate.verdict:
        case "bit-stable":
            return f"{held}."
        case "row-by-row":
            why = f"Together rows are not safe: {certificate.reason}. "
            return f"{why}The model now declares that its rows are scored one at a time. {held}."
        case _:
            return (
                f"Even one row at a time {certificate.reason}. A stream and a batch could disagree about the "
                "same customer, so that this model must not be run."
            )


def show_certificate(certificate: Certificate, folder: Path, console: Console | None = None) -> None:
    """Prints a certificate for people.

    Args:
        certificate: What was found.
        folder: The model's directory.
        console: Where to; standard output unless given.
    """
    console = console or Console(highlight=False)
    color = COLORS[certificate.verdict]
    console.print(Text(headline(certificate), style=f"bold {color}"))
    console.print(Text(explained(certificate)))
    for trial in certificate.trials:
        if not trial.stable:
            console.print(_table(trial))
    console.print(_facts(certificate, folder))


def _table(trial: Trial) -> Table:
    way = "one row at a time" if trial.execution == "one" else "rows together"
    table = Table(box=None, pad_edge=False, title=f"\nDifferences, {way}", title_justify="left")
    sizes = sorted({combination.size for combination in trial.combinations})
    for name in ("route", "order", "threads"):
        table.add_column(name, style="dim")
    for size in sizes:
        table.add_column(f"by {size:,}", justify="right")
    for (route, order, threads), found in lines_of(trial):
        cells = [
            Text("·", style="green") if each.stable else Text(_short(each), style="red") for each in found
        ]
        table.add_row(shown_route(route), order, str(threads), *cells)
    return table


def _short(found: Combination) -> str:
    marks = f"{found.different + found.rejected:,}"
    return f"{marks} ({found.max_ulps:,} ulp)" if found.different else f"{marks} lost"


def _facts(certificate: Certificate, folder: Path) -> Table:
    sample, model = certificate.sample, certificate.model
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in sample.left_out.items())
    facts = {
        "rows": f"{sample.rows:,}, {sample.golden} of them golden, the others "
        + ("made of the declared inputs" if sample.source == "generated" else f"of {sample.source}"),
        "left out": left_out,
        "golden rows": "" if certificate.verdict == "refused" else f"{model.golden} in {folder / MODEL_FILE}",
        "model": f"{model.id} {model.sha256[:12]}",
        "certificate": f"{folder / CERTIFICATE_FILE}, {PAGE_FILE}",
        "took": f"{certificate.seconds:,.1f} s",
    }
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if value:
            table.add_row(name, Text(value))
    return table
