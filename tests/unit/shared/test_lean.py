"""A command's own process leaves out what libraries load on the off chance; other Python has all of it."""

from pathlib import Path

import pytest

from tests.support.commands import python
from tests.support.models import linear_model
from tests.support.trained import lightgbm_model, xgboost_model

for library in ("pandas", "sklearn"):
    pytest.importorskip(library)

START = "from shared import lean; lean.start();"
MODELS = {"linear": linear_model, "xgboost": xgboost_model, "lightgbm": lightgbm_model}


def loaded_by_scoring(model: Path, before: str = "") -> str:
    """Which of the two a Python of its own has loaded after it has scored rows."""
    return python(
        f"{before}from shared.predict import Predictor; predictor = Predictor.load({str(model)!r});"
        "import pyarrow as pa, sys; predictor.score_table(pa.record_batch({'customer_id': [1]}));"
        "print(*sorted({'pandas', 'sklearn'} & set(sys.modules)))"
    )


@pytest.mark.parametrize("kind", MODELS)
def test_a_command_that_scores_loads_neither_pandas_nor_scikit_learn(kind: str, tmp_path: Path) -> None:
    assert loaded_by_scoring(MODELS[kind](tmp_path), START) == "\n"


def test_other_python_gets_libraries_as_they_are(tmp_path: Path) -> None:
    assert loaded_by_scoring(xgboost_model(tmp_path)) == "pandas sklearn\n"


def test_what_is_left_out_can_be_loaded_afterwards() -> None:
    leave = (
        "from shared.tables import TableParser; from shared.schema import Schema;"
        "TableParser(Schema(inputs=[{'name': 'feature', 'type': 'number'}]));"
    )
    ask = "import pyarrow as pa; print(pa.table({'a': [1, 2]}).to_pandas()['a'].sum())"
    assert python(START + leave + ask) == "3\n"


def test_pandas_that_is_loaded_already_is_left_to_arrow() -> None:
    look = "print(pyarrow.array(pandas.Series([1.0, float('nan')])).null_count)"
    leave = "from shared.lean import left_out\nwith left_out('pandas'): pyarrow.scalar(0)\n"
    assert python("import pandas, pyarrow;" + START + "\n" + leave + look) == "1\n"
