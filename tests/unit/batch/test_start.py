"""What a small run does not wait for: libraries that it has no use for are not loaded."""

from pathlib import Path

import pytest

from tests.support.commands import python
from tests.support.models import linear_model

#: By what each is for, beside scoring a file with a linear model without a terminal.
NOT_FOR_THIS = {
    "a bar on a terminal": "rich",
    "streams": "kafka prometheus_client",
    "other models": "xgboost lightgbm onnx onnxruntime sklearn scipy",
    "databases": "adbc_driver_manager adbc_driver_postgresql adbc_driver_sqlite sqlite3",
    "tables of a lake": "deltalake pyiceberg",
    "more than a machine": "pyspark",
    "nobody here": "pandas polars duckdb pyarrow.dataset",
}


ROWS = {
    "csv": "customer_id,tenure,charges,partner,contract\n1,3,70.35,true,monthly\n",
    "ndjson": '{"customer_id": 1, "tenure": 3, "charges": 70.35, "partner": true, "contract": "monthly"}\n',
}


@pytest.mark.parametrize("form", ROWS)
def test_a_plain_run_loads_nothing_that_it_has_no_use_for(form: str, tmp_path: Path) -> None:
    model, source = linear_model(tmp_path / "model"), tmp_path / f"rows.{form}"
    source.write_text(ROWS[form])
    arguments = ["batch", "score", str(source), "--model", str(model), "--output", str(tmp_path / "out")]
    loaded = python(
        "import contextlib, runpy, sys, io\n"
        f"sys.argv = {arguments!r}\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    runpy.run_module('batch', run_name='__main__', alter_sys=True)\n"
        "print(*sys.modules)"
    ).split()
    assert (tmp_path / "out" / "manifest.json").exists()
    assert "pyarrow" in loaded
    assert {name for names in NOT_FOR_THIS.values() for name in names.split()} & set(loaded) == set()


def test_the_list_of_commands_waits_for_no_library() -> None:
    loaded = python(
        "import contextlib, runpy, sys, io\n"
        "sys.argv = ['batch', '--help']\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    runpy.run_module('batch', run_name='__main__', alter_sys=True)\n"
        "print(*sys.modules)"
    ).split()
    assert "shared.command" in loaded
    assert {"numpy", "pyarrow", "pydantic", "rich"} & set(loaded) == set()
