"""What a certificate says, in sentences and as a table on a terminal."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.models.certificate import CERTIFICATE_FILE, MEANINGS, PAGE_FILE, Certificate, Combination, Trial
from shared.models.directory import MODEL_FILE
from shared.wording import counted

_AXES: Final = {"threads": "on {} threads", "size": "in batches of {}", "order": "{}", "route": "from {}"}
COLORS: Final = {"bit-stable": "green", "row-by-row": "yellow", "refused": "red"}


def reason_of(trial: Trial) -> str:
    """Where a trial that is not stable fails, and how badly at worst: a sentence without its full stop."""
    failing = [combination for combination in trial.combinations if not combination.stable]
    worst = max(failing, key=lambda found: (found.flipped, found.rejected, found.max_ulps, found.different))
    only = _only_where(trial.combinations, failing)
    return (
        f"{len(failing)} of {len(trial.combinations)} combinations differ{', all ' + only if only else ''};"
        f" at worst {_told(worst)}"
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


def capital(text: str) -> str:
    """A text that begins a sentence."""
    return text[:1].upper() + text[1:]


def shown_route(name: str) -> str:
    """A route or order as people write it."""
    return {"json": "JSON", "csv": "CSV", "parquet": "Parquet"}.get(name, name)


def _told(found: Combination) -> str:
    told = []
    if found.different:
        told.append(f"{found.different:,} of {found.rows:,} scores by up to {ulps_told(found.max_ulps)}")
    if found.rejected:
        told.append(f"{found.rejected:,} of {found.rows:,} rows get no score")
    if found.flipped:
        told.append(f"{counted(found.flipped, 'decision')} flipped")
    return ", ".join(told)


def ulps_told(ulps: int) -> str:
    """A distance in units in the last place: exact while a person can read it."""
    return counted(ulps, "ulp") if ulps < 1_000_000 else f"{ulps:.1e} ulps"


def cell_of(found: Combination) -> list[str]:
    """What became of a combination, in few words, a line each."""
    told = []
    if found.different:
        told += [f"{found.different:,} differ", f"by {ulps_told(found.max_ulps)}"]
    if found.rejected:
        told.append(f"{found.rejected:,} lost")
    if found.flipped:
        told.append(f"{found.flipped:,} flipped")
    return told or ["identical"]


def lines_of(trial: Trial) -> Iterator[tuple[tuple[str, str, int], list[Combination]]]:
    """A trial as a table: for each route, order and number of threads, the combination of each size."""
    lines: dict[tuple[str, str, int], list[Combination]] = {}
    for found in trial.combinations:
        lines.setdefault((found.route, found.order, found.threads), []).append(found)
    for place, combinations in lines.items():
        yield place, sorted(combinations, key=lambda combination: combination.size)


def headline(certificate: Certificate) -> str:
    """The verdict: `churn@1 is bit-stable`."""
    return f"{certificate.model.id} is {MEANINGS[certificate.verdict]}"


def explained(certificate: Certificate) -> str:
    """The verdict in full sentences."""
    last = certificate.trials[-1]
    scores = sum(combination.rows for combination in last.combinations)
    held = (
        f"very row got the same bits in all {len(last.combinations)} combinations of batch size, order, "
        f"route and threads ({scores:,} scores compared) as it gets alone."
    )
    reason = f"{capital(certificate.reason)}. " if certificate.reason else ""
    match certificate.verdict:
        case "bit-stable":
            return f"E{held}"
        case "row-by-row":
            return f"{reason}Scored one row at a time, as {MODEL_FILE} now declares, e{held}"
        case _:
            return (
                f"{reason}A stream and a batch could disagree about the same customer, so that this model"
                " must not be run."
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
    console.print(Text(explained(certificate)), "")
    unstable = next((trial for trial in reversed(certificate.trials) if not trial.stable), None)
    if unstable is not None:
        console.print(_table(unstable), "")
    show_facts(console, _facts(certificate, folder))


def _table(trial: Trial) -> Table:
    """The share of rows that differ, of the worst route; the page has the details."""
    way = "one row at a time" if trial.execution == "one" else "with rows scored together"
    table = Table(box=None, pad_edge=False, title=f"Rows that differ, {way}", title_justify="left")
    for name in ("order", "threads"):
        table.add_column(name, style="dim", no_wrap=True)
    for size in sorted({combination.size for combination in trial.combinations}):
        table.add_column(f"by {size:,}", justify="right", no_wrap=True)
    lines: dict[tuple[str, int], dict[int, float]] = {}
    for found in trial.combinations:
        shares = lines.setdefault((found.order, found.threads), {})
        share = max(found.different + found.rejected, found.flipped) / found.rows
        shares[found.size] = max(share, shares.get(found.size, 0.0))
    for (order, threads), shares in lines.items():
        table.add_row(order, str(threads), *(_share(shares[size]) for size in sorted(shares)))
    return table


def _share(share: float) -> Text:
    if not share:
        return Text("none", style="green")
    return Text(f"{share:.1%}" if share >= 0.001 else "<0.1%", style="red")


def show_facts(console: Console, facts: Mapping[str, str | Text]) -> None:
    """Prints facts, a line each, without breaking one: a path can be copied. Empty ones are left out."""
    width = max(map(len, facts)) + 2
    for name, value in facts.items():
        if value:
            console.print(Text.assemble((f"{name:<{width}}", "dim"), value), soft_wrap=True)


def _facts(certificate: Certificate, folder: Path) -> dict[str, str]:
    sample, model = certificate.sample, certificate.model
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in sample.left_out.items())
    return {
        "rows": f"{sample.rows:,}, {sample.golden} of them golden, the others "
        + ("made of the declared inputs" if sample.source == "generated" else f"of {sample.source}"),
        "left out": left_out,
        "golden rows": "" if certificate.verdict == "refused" else f"{model.golden} in {folder / MODEL_FILE}",
        "model": f"{model.id} {model.sha256[:12]}",
        "certificate": f"{folder / CERTIFICATE_FILE}, {PAGE_FILE}",
        "took": f"{certificate.seconds:,.1f} s",
    }
