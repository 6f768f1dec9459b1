"""The schema of report.json, with what each field means; docs/report.schema.json is this, and a test says so.

`python -m batch.report.schema` prints it.
"""

import json
from typing import Any

from batch.report.document import Report


def schema() -> dict[str, Any]:
    """The JSON Schema of what `write_report` writes."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Report.model_json_schema(mode="serialization"),
        "title": "report.json of Tandem",
    }


def text() -> str:
    """The schema as it is stored."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(text(), end="")
