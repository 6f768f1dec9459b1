"""`python -m batch model validate`: loads a model as scoring would, and says what to change."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console
from rich.text import Text

from shared.errors import AnswerIsNo, ExitCode
from shared.models.certificate import State, standing_of
from shared.models.directory import read_model
from shared.predict import Predictor
from shared.settings import CommandSettings, load

PROGRAM: Final = "python -m batch model validate"
_ADVICE: Final[dict[State, str]] = {
    "none": "Certify it: python -m batch model certify {folder}",
    "stale": "Certify it anew (python -m batch model certify {folder}), or undo the change.",
    "damaged": "Certify it anew: python -m batch model certify {folder}",
    "refused": "Do not run it: train or convert it anew, in another format or with another library.",
}


class ValidateSettings(CommandSettings):
    """Loads a model as scoring would: declaration, artifact, golden rows; then looks at its certificate.

    The exit status is 0 when all is well, 3 when the model cannot be loaded, and 1 when its certificate does
    not hold. A model without a certificate is well unless --certified asks for one.

    Example:
      python -m batch model validate models/churn
      python -m batch model validate my-model --certified
    """

    model: CliPositionalArg[Path] = Field(description="The model's directory.")
    certified: bool = Field(False, description="Ask for a certificate that holds.")


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Raises:
        ModelError: The model cannot be loaded.
        AnswerIsNo: It can, but its certificate does not hold.
    """
    settings = load(ValidateSettings, arguments, PROGRAM)
    # Not by Predictor.load, which refuses a model for its certificate: that is told below.
    model = read_model(settings.model)
    Predictor(model).check_golden_rows()
    standing = standing_of(settings.model, model)
    wanted = standing.state == "valid" if settings.certified else standing.sound
    advice = _ADVICE.get(standing.state, "").format(folder=settings.model)
    if not wanted:
        raise AnswerIsNo(f"{model.id}: {standing.detail}", hint=advice)
    console = Console(highlight=False, soft_wrap=True)
    golden = len(model.declaration.golden)
    rows = f"{golden} golden rows" if golden > 1 else "its golden row"
    console.print(Text(f"{model.id} is valid: it loads and {rows} score to the bit.", style="green"))
    console.print(Text(f"Certificate: {standing.detail}."))
    if advice:
        console.print(Text(advice))
    return ExitCode.DONE
