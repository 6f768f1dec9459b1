"""`python -m batch score --explain` and `compare` of what it wrote, as a person runs them."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.__main__ import main
from batch.explained import EXPLANATION, explained_alike, explanations_of
from batch.outputs import OUTPUT_FORMATS
from shared.errors import ExitCode
from shared.models.directory import RESERVED_OUTPUTS
from shared.predict import Predictor
from shared.predictions import Contribution
from tests.support.models import linear_model
from tests.support.tables import manifest_of, scored, write_rows
from tests.support.trained import onnx_model

ROWS = [
    {"customer_id": n, "tenure": n, "charges": 20.0 + n, "partner": n % 2 == 0, "contract": "yearly"}
    for n in range(9)
]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return linear_model(tmp_path / "model")


def score(tmp_path: Path, model: Path, name: str, *options: str) -> Path:
    path = write_rows(tmp_path / "input", "ndjson", ROWS)
    assert main(["score", str(path), "--model", str(model), "--output", str(tmp_path / name), *options]) == 0
    return tmp_path / name


def explained(folder: Path) -> list[tuple[float, list[dict[str, Any]]]]:
    """The base and contributions of each prediction, whatever the format."""
    return [
        (
            row["base"],
            json.loads(row["contributions"])
            if isinstance(row["contributions"], str)
            else row["contributions"],
        )
        for row in scored(folder)
    ]


@pytest.mark.parametrize("form", OUTPUT_FORMATS)
def test_every_format_holds_the_same_explanations(tmp_path: Path, model: Path, form: str) -> None:
    folder = score(tmp_path, model, form, "--explain", "2", "--format", form, "--batch-rows", "4")
    lines = [json.dumps(row).encode() for row in ROWS]
    expected = Predictor.load(model, explain=2).score_json(lines).explanations
    assert expected is not None
    names = ["tenure", "charges", "partner", "contract"]
    assert explained(folder) == [
        (
            expected.base[row],
            [
                {"input": names[place], "contribution": contribution}
                for place, contribution in zip(
                    expected.inputs[row].tolist(), expected.contributions[row].tolist(), strict=True
                )
            ],
        )
        for row in range(len(ROWS))
    ]
    columns = [column.name for column in manifest_of(folder).columns]
    assert columns[5:7] == ["base", "contributions"]


def test_contributions_are_a_list_of_structs_in_parquet(tmp_path: Path, model: Path) -> None:
    folder = score(tmp_path, model, "out", "--explain", "1")
    kind = pq.read_schema(folder / "part-00000-0000.parquet").field("contributions").type
    assert str(kind) == (
        "list<element: struct<input: string not null, contribution: double not null> not null>"
    )


@pytest.mark.parametrize("form", OUTPUT_FORMATS)
def test_nothing_of_it_is_seen_unless_it_is_asked_for(tmp_path: Path, model: Path, form: str) -> None:
    folder = score(tmp_path, model, "out", "--format", form)
    assert not {"base", "contributions"} & set(scored(folder)[0])
    assert "explain" not in manifest_of(folder).settings
    assert manifest_of(score(tmp_path, model, "more", "--explain", "2")).settings["explain"] == "2"


@pytest.mark.parametrize("number", ["0", "-1", "some"])
def test_a_number_that_is_none_is_refused(
    tmp_path: Path, model: Path, number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_rows(tmp_path, "ndjson", ROWS)
    given = ["score", str(path), "--model", str(model), "--output", str(tmp_path / "out")]
    assert main([*given, f"--explain={number}"]) == ExitCode.USAGE
    assert "--explain" in capsys.readouterr().err


def test_a_kind_that_cannot_explain_is_refused_with_the_reason_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, folder = write_rows(tmp_path, "ndjson", ROWS), onnx_model(tmp_path / "onnx")
    given = ["score", str(path), "--model", str(folder), "--output", str(tmp_path / "out")]
    assert main([*given, "--explain", "3"]) == ExitCode.UNREADABLE
    assert "kind onnx cannot say what each input contributed" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_decision_cannot_hide_the_explanation() -> None:
    assert {"base", "contributions"} <= RESERVED_OUTPUTS


def compared(capsys: pytest.CaptureFixture[str], one: Path, two: Path) -> dict[str, Any]:
    capsys.readouterr()
    code = main(["compare", str(one), str(two), "--json"])
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert answer["agrees"] == (code == 0)
    return answer


@pytest.mark.parametrize("left", OUTPUT_FORMATS)
@pytest.mark.parametrize("right", OUTPUT_FORMATS)
def test_explanations_of_two_formats_are_compared(
    tmp_path: Path, model: Path, left: str, right: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one = score(tmp_path, model, "one", "--explain", "3", "--format", left)
    two = score(tmp_path, model, "two", "--explain", "3", "--format", right)
    answer = compared(capsys, one, two)
    assert (answer["agrees"], answer["explained"], answer["explained_differently"]) == (True, 9, 0)


def test_one_bit_of_one_contribution_is_a_difference(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = score(tmp_path, model, "one", "--explain", "3", "--format", "ndjson") / "part-00000-0000.ndjson"
    text = one.read_text()
    found = re.search(r'"contribution":([\d.]+\d)', text)
    assert found is not None
    number = math.nextafter(float(found[1]), 9)
    two = tmp_path / "two.ndjson"
    two.write_text(f"{text[: found.start(1)]}{number!r}{text[found.end(1) :]}")
    answer = compared(capsys, one, two)
    assert answer["counts"]["different"] == answer["explained_differently"] == 1
    (example,) = answer["examples"]
    assert (example["ulps"], example["explained_alike"]) == (0, False)
    assert main(["compare", str(one), str(two)]) == ExitCode.ANSWER_IS_NO
    shown = capsys.readouterr().out
    assert "1 prediction with other contributions" in shown
    assert "differ" in shown


def test_more_contributions_on_one_side_are_a_difference_and_none_at_all_are_not(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = score(tmp_path, model, "plain")
    three, two = (score(tmp_path, model, f"top{n}", "--explain", str(n)) for n in (3, 2))
    assert compared(capsys, three, two)["explained_differently"] == 9
    assert compared(capsys, plain, three)["agrees"]
    assert compared(capsys, plain, three)["explained"] == 0


def test_a_file_whose_contributions_are_none_is_refused(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = score(tmp_path, model, "out", "--explain", "1", "--format", "csv")
    path = folder / "part-00000-0000.csv"
    path.write_text(path.read_text().replace('[{""input""', '[{""imput""'))
    assert main(["compare", str(folder), str(folder)]) == ExitCode.UNREADABLE
    assert "not a file of predictions" in capsys.readouterr().err


def column(*rows: tuple[float, list[tuple[str, float]]] | None) -> pa.StructArray:
    return explanations_of(
        [None if row is None else row[0] for row in rows],
        [None if row is None else [Contribution(*pair) for pair in row[1]] for row in rows],
    )


def test_each_part_of_an_explanation_counts_and_rows_without_one_do_not() -> None:
    same = (0.5, [("a", 1.0), ("b", 2.0)])
    left = column(same, same, same, same, None, same, same)
    right = column(
        same,
        (0.5000000000000001, same[1]),
        (0.5, [("a", 1.0), ("c", 2.0)]),
        (0.5, [("a", 1.0)]),
        same,
        None,
        (0.5, [("a", 1.0), ("b", 2.0000000000000004)]),
    )
    expected = [True, False, False, False, True, True, False]
    assert explained_alike(left, right).tolist() == expected
    assert explained_alike(right, left).tolist() == expected
    assert explained_alike(left.slice(1), right.slice(1)).tolist() == expected[1:]
    assert left.type == EXPLANATION
