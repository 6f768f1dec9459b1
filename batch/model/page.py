"""certificate.html: the certificate as one page that stands alone, for a screen or for paper."""

from html import escape
from typing import Final

from batch.model.verdicts import capital, cell_of, explained, headline, lines_of, shown_route
from shared.models.certificate import CERTIFICATE_FILE, MEANINGS, Certificate, Combination, Trial

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1d2630; --soft: #5b6875; --line: #d9dfe5; --paper: #fff;
  --panel: #f5f7f9; --good: #12703f; --good-panel: #e6f4ec; --warn: #85560a; --warn-panel: #fdf2dc;
  --bad: #a3222c; --bad-panel: #fdeaea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ee; --soft: #9aa7b4; --line: #323c47;
  --paper: #14191f; --panel: #1c232b; --good: #6fd29b; --good-panel: #15301f; --warn: #e8bd6a;
  --warn-panel: #33280f; --bad: #f39a9f; --bad-panel: #3a1a1d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
.over { margin: 0; color: var(--soft); font-size: .85rem; letter-spacing: .06em; text-transform: uppercase; }
h1 { margin: .2rem 0 1rem; font-size: 1.9rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.15rem; }
.verdict { border-left: .35rem solid; border-radius: .3rem; padding: 1rem 1.25rem; }
.verdict strong { display: block; font-size: 1.15rem; }
.verdict p { margin: .4rem 0 0; color: var(--ink); }
.bit-stable { color: var(--good); background: var(--good-panel); }
.row-by-row { color: var(--warn); background: var(--warn-panel); }
.refused { color: var(--bad); background: var(--bad-panel); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.5rem; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
code { font: .9em ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; text-align: left; border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 600; border-bottom-width: 2px; white-space: nowrap; }
tbody th { font-weight: 400; white-space: nowrap; }
td.same { color: var(--good); }
td.off { color: var(--bad); background: var(--bad-panel); white-space: nowrap; }
.note { color: var(--soft); font-size: .875rem; max-width: 46rem; }
@media (max-width: 36rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } }
@media print {
  :root { color-scheme: light; --ink: #000; --soft: #444; --line: #bbb; --paper: #fff; --good: #0b5a31;
    --good-panel: #fff; --warn: #6b4406; --warn-panel: #fff; --bad: #8c1620; --bad-panel: #fff; }
  main { max-width: none; padding: 0; }
  .verdict { border: 1px solid; border-left-width: .35rem; }
  h2 { break-after: avoid; } tr { break-inside: avoid; } td, th { padding: .15rem .4rem; }
  table { font-size: .75rem; }
}
"""


def certificate_page(certificate: Certificate) -> str:
    """The page: the verdict first, then what it rests on. It asks for nothing from anywhere.

    Args:
        certificate: What was found.
    """
    model = certificate.model
    trials = "".join(_trial(trial, several=len(certificate.trials) > 1) for trial in certificate.trials)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(headline(certificate))}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<p class="over">Certificate of parity</p>
<h1>{escape(model.id)}</h1>
<div class="verdict {certificate.verdict}">
<strong>{capital(MEANINGS[certificate.verdict])}</strong>
<p>{escape(explained(certificate))}</p>
</div>
<h2>The model</h2>
{_facts(_of_model(certificate))}
<h2>What was scored</h2>
{_facts(_of_sample(certificate))}
{trials}
<h2>Where and when</h2>
{_facts(_of_machine(certificate))}
<p class="note">The certificate holds for the model whose sha256 stands above, and for no other: a change of
its inputs, threshold or artifact makes it stale. Everything here stands in {CERTIFICATE_FILE} too.</p>
</main>
</body>
</html>
"""


def _facts(facts: dict[str, str]) -> str:
    rows = "\n".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in facts.items() if value)
    return f"<dl>\n{rows}\n</dl>"


def _of_model(certificate: Certificate) -> dict[str, str]:
    model = certificate.model
    together = "any number of rows together" if model.execution == "any" else "one row at a time"
    return {
        "sha256": f"<code>{escape(model.sha256)}</code>",
        "Kind": escape(model.kind),
        "Is run with": together,
        "Golden rows": f"{model.golden}, checked to the bit at every load",
    }


def _of_sample(certificate: Certificate) -> dict[str, str]:
    sample = certificate.sample
    made = "made of the declared inputs: every category, bounds, extremes and missing values"
    left_out = (f"{count:,} rows: {reason}" for reason, count in sample.left_out.items())
    return {
        "Rows": f"{sample.rows:,}",
        "From": made if sample.source == "generated" else f"<code>{escape(sample.source)}</code>",
        "Golden rows": f"{sample.golden:,} of them" if sample.golden else "",
        "Left out": "<br>".join(map(escape, left_out)),
        "sha256 of the rows": f"<code>{escape(sample.sha256)}</code>",
    }


def _of_machine(certificate: Certificate) -> dict[str, str]:
    machine = certificate.machine
    libraries = ", ".join(f"{name} {version}" for name, version in certificate.libraries.items())
    return {
        "Issued": escape(certificate.issued),
        "Took": f"{certificate.seconds:,.1f} s",
        "Tandem": escape(certificate.tandem),
        "Libraries": escape(libraries),
        "Python": escape(machine.python),
        "Processor": f"{escape(machine.processor)}, {machine.cores} cores, {escape(machine.machine)}",
        "Instruction sets": escape(", ".join(machine.features)),
        "System": escape(machine.system),
    }


def _trial(trial: Trial, *, several: bool) -> str:
    title = "Every combination"
    if several:
        title = "One row at a time" if trial.execution == "one" else "Rows together"
    sizes = sorted({combination.size for combination in trial.combinations})
    names = ("Route", "Order", "Threads", *(f"by {size:,}" for size in sizes))
    heads = "".join(f'<th scope="col">{name}</th>' for name in names)
    lines = "\n".join(
        f'<tr><th scope="row">{escape(shown_route(route))}</th><td>{escape(order)}</td><td>{threads}</td>'
        f"{''.join(map(_cell, found))}</tr>"
        for (route, order, threads), found in lines_of(trial)
    )
    return f"""<h2>{title}</h2>
<p class="note">Each score is compared with that of the same row alone, as an event. The columns say how many
rows were scored together. With two threads both score all rows at the same time. One ulp is the distance
from one float64 to the next.</p>
<div class="wide"><table>
<thead><tr>{heads}</tr></thead>
<tbody>
{lines}
</tbody>
</table></div>"""


def _cell(found: Combination) -> str:
    kind = "same" if found.stable else "off"
    scores = f"{found.rows:,} scores compared"
    return f'<td class="{kind}" title="{scores}">{"<br>".join(map(escape, cell_of(found)))}</td>'
