"""`make train`: trains models/churn and models/churn-linear on made-up customers and writes their folders.

The same bytes come out every time: the rows come from fixed seeds. models/churn is the same for one version
of XGBoost, which its model.json names.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import xgboost

from batch.model.writing import declaration_text
from models import cards, linear, trees
from models.customers import INPUTS, INPUTS_WITH_MISSING, KEY, Floats, Inputs, Sample, draw_sample
from shared.models.directory import KINDS
from shared.schema import Schema

FOLDER: Final = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is made.

    Attributes:
        name: Its name and its folder's.
        version: Raised when it scores otherwise than before.
        kind: Its kind.
        description: One sentence.
        inputs: What it declares.
        artifact: The artifact's name.
        fit: Makes the artifact from customers.
        provenance: What made it.
        card: Writes the README from customers that it was not trained on, and their scores.
    """

    name: str
    version: str
    kind: str
    description: str
    inputs: Inputs
    artifact: str
    fit: Callable[[Sample], bytes]
    provenance: dict[str, str]
    card: Callable[[Sample, Floats], str]


def _coefficients(sample: Sample) -> bytes:
    return f"{json.dumps(linear.fit(sample).model_dump(), indent=2)}\n".encode()


_DATA: Final = f"{cards.FIT_ROWS:,} made-up customers of seed {cards.FIT_SEED} (producer/generate.py)"
RECIPES: Final = (
    Recipe(
        "churn",
        "2",
        "xgboost",
        "Boosted trees on made-up customers shaped as the public IBM Telco churn table.",
        INPUTS_WITH_MISSING,
        "booster.json",
        trees.fit,
        {"made by": "make train", "data": _DATA, "xgboost": xgboost.__version__},
        cards.trees_card,
    ),
    Recipe(
        "churn-linear",
        "1",
        "linear",
        "Logistic regression on made-up customers shaped as the public IBM Telco churn table.",
        INPUTS,
        "coefficients.json",
        _coefficients,
        {"made by": "make train", "data": _DATA},
        cards.linear_card,
    ),
)


def train(recipe: Recipe, folder: Path) -> None:
    """Trains a model and writes its folder.

    Args:
        recipe: How.
        folder: Where to; made when it is not there.
    """
    artifact = recipe.fit(draw_sample(recipe.inputs, cards.FIT_SEED, cards.FIT_ROWS))
    schema = Schema.model_validate({"key": KEY, "inputs": recipe.inputs})
    scorer = KINDS[recipe.kind].load(schema, artifact)
    golden = draw_sample(recipe.inputs, cards.GOLDEN_SEED, cards.GOLDEN_ROWS)
    declaration: dict[str, Any] = {
        "name": recipe.name,
        "version": recipe.version,
        "kind": recipe.kind,
        "description": recipe.description,
        "key": KEY,
        "inputs": recipe.inputs,
        "threshold": cards.THRESHOLD,
        "outputs": {"decision": "churn"},
        "artifact": {"file": recipe.artifact, "sha256": hashlib.sha256(artifact).hexdigest()},
        "provenance": recipe.provenance,
        "golden": [
            {"event": event, "score": score}
            for event, score in zip(golden.events, scorer.score(golden.frame).tolist(), strict=True)
        ],
    }
    held_out = draw_sample(recipe.inputs, cards.HELD_OUT_SEED, cards.HELD_OUT_ROWS)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / recipe.artifact).write_bytes(artifact)
    (folder / "model.json").write_text(declaration_text(declaration), encoding="utf-8")
    card = recipe.card(held_out, scorer.score(held_out.frame))
    (folder / "README.md").write_text(card, encoding="utf-8")


if __name__ == "__main__":
    for each in RECIPES:
        train(each, FOLDER / each.name)
        print(f"wrote models/{each.name}")
