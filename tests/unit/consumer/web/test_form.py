"""The page's form: the inputs of the model as its directory has it now, and an event that the model takes."""

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from consumer.settings import ConsumerSettings
from consumer.web.form import Asked, form_of
from consumer.web.sending import routes
from shared.predict import Predictor
from shared.settings import load
from tests.support.asgi import ask
from tests.support.commands import python
from tests.support.models import change_model, threshold_model

MODELS = ("models/threshold", "models/churn", "models/churn-linear")


def settings(model: str | Path, *arguments: str) -> ConsumerSettings:
    return load(ConsumerSettings, ["--model", str(model), *arguments], "python -m consumer")


def example(fields: list[Asked]) -> bytes:
    filled = [f"{json.dumps(field.name)}: {field.example}" for field in fields if field.example is not None]
    return f"{{{', '.join(filled)}}}".encode()


@pytest.mark.parametrize("model", MODELS)
def test_the_example_is_an_event_that_the_model_scores_as_its_golden_row(model: str) -> None:
    predictor = Predictor.load(Path(model))
    outcome = predictor.score_json([example(form_of(Path(model)).fields)])
    assert outcome.rejections == ()
    assert outcome.scores.tolist() == [predictor.model.declaration.golden[0].score]


def test_each_form_has_an_event_id_of_its_own() -> None:
    ids = {form_of(Path(MODELS[0])).fields[1].example for _ in range(3)}
    assert len(ids) == 3


def test_a_field_says_what_the_model_declares_of_it() -> None:
    form = form_of(Path("models/churn"))
    fields = {field.name: field for field in form.fields}
    assert (form.model, form.decision, form.threshold) == ("churn@2", "churn", 0.5)
    assert [field.role for field in form.fields[:3]] == ["key", "event_id", "input"]
    assert fields["gender"].values == ["Female", "Male"]
    assert (fields["tenure"].type, fields["tenure"].lowest, fields["tenure"].highest) == ("integer", 0, 1200)
    assert fields["tenure"].required
    assert not fields["TotalCharges"].required


def test_a_key_that_is_not_declared_may_be_a_number_or_a_text(tmp_path: Path) -> None:
    model = threshold_model(
        tmp_path / "model", inputs=[{"name": "feature", "type": "number", "default": 0.5}]
    )
    key, _, feature = form_of(model).fields
    assert (key.name, key.role, key.type, key.example) == ("customer_id", "key", "id", "101")
    assert (feature.required, feature.default) == (False, 0.5)


def test_no_digit_of_an_example_is_lost(tmp_path: Path) -> None:
    row = {"customer_id": 2**63 - 1, "feature": 0.1}
    model = threshold_model(tmp_path / "model")
    declaration = json.loads((model / "model.json").read_bytes())
    declaration["golden"] = [{"event": row, "score": 0.1}]
    (model / "model.json").write_text(json.dumps(declaration), encoding="utf-8")
    assert form_of(model).fields[0].example == "9223372036854775807"


def test_the_form_is_that_of_the_model_in_the_directory_at_the_time(tmp_path: Path) -> None:
    model = threshold_model(tmp_path / "model")
    app = Starlette(routes=routes(settings(model, "--send-form")))
    told: dict[str, Any] = json.loads(ask(app, "/page/form").body)
    change_model(model, version="2")
    assert [told["model"], json.loads(ask(app, "/page/form").body)["model"]] == ["threshold@1", "threshold@2"]


def test_a_model_that_cannot_be_read_is_503_with_what_to_do(tmp_path: Path) -> None:
    app = Starlette(routes=routes(settings(tmp_path / "gone", "--send-form")))
    answer = ask(app, "/page/form")
    assert answer.status == 503
    assert b"no model.json found there" in answer.body


def test_a_form_is_made_without_a_library_that_runs_models() -> None:
    said = python(
        "import sys; from pathlib import Path; from consumer.web.form import form_of\n"
        "form_of(Path('models/churn'))\n"
        "print(sorted({'xgboost', 'lightgbm', 'onnxruntime'} & set(sys.modules)))"
    )
    assert said.strip() == "[]"
