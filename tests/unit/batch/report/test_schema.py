"""docs/report.schema.json is what report.json holds, and says of each field what it means."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]

from batch.report.document import Report
from batch.report.schema import text
from batch.report.write import write_report
from tests.support import reports

STORED = Path(__file__).resolve().parents[4] / "docs" / "report.schema.json"


@pytest.fixture(scope="module")
def schema() -> Any:
    return json.loads(STORED.read_bytes())


def test_the_stored_schema_is_that_of_the_document() -> None:
    hint = "write it again: python -m batch.report.schema > docs/report.schema.json"
    assert STORED.read_text(encoding="utf-8") == text(), hint


def test_the_schema_says_what_each_field_means(schema: Any) -> None:
    for name, kind in {"report": schema, **schema["$defs"]}.items():
        assert kind["description"], name
        for field, declared in kind.get("properties", {}).items():
            assert declared.get("description"), f"{name}.{field}"


@pytest.mark.parametrize("report", [reports.holding(), reports.failing(), reports.replayed()])
def test_what_is_written_is_of_the_schema(report: Report, schema: Any, tmp_path: Path) -> None:
    Draft202012Validator.check_schema(schema)
    write_report(tmp_path, report)
    document = json.loads((tmp_path / "report.json").read_bytes())
    Draft202012Validator(schema).validate(document)
    document["advise"] = None
    with pytest.raises(ValidationError, match="advise"):
        Draft202012Validator(schema).validate(document)
