"""Whether a model can be scored with."""

from pathlib import Path

from consumer.check.finding import Finding, must, must_for, ok, warn
from shared.errors import TandemError
from shared.models.certificate import standing_of
from shared.models.directory import read_model
from shared.predict import Predictor


def model_findings(role: str, folder: Path, explain: int | None) -> list[Finding]:
    """Findings on a model: that it loads, gives its golden rows their scores, and what it is certified for.

    Args:
        role: `model` or `shadow model`.
        folder: Its directory.
        explain: How many contributions are wanted with each score.
    """
    try:
        # Not by Predictor.load, which refuses a model for its certificate: that is told below.
        model = read_model(folder)
        Predictor(model, explain=explain).check_golden_rows()
    except TandemError as error:
        return [must_for(role, error)]
    golden = len(model.declaration.golden)
    told = f"{model.id} (sha256 {model.short_sha256}) loads; {golden} golden rows score to the bit"
    standing = standing_of(folder, model)
    certify = f"Certify it: python -m batch model certify {folder}"
    if standing.state == "valid":
        verdict = ok(f"{role}'s certificate", standing.detail)
    elif standing.sound:
        verdict = warn(f"{role}'s certificate", standing.detail, certify)
    else:
        verdict = must(f"{role}'s certificate", standing.detail, certify)
    return [ok(role, told), verdict]
