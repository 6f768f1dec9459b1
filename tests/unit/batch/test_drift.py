"""`python -m batch drift`: how far two sides are apart, what is no verdict, and what is refused."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from batch.__main__ import main
from batch.divergence import divergence, jensen_shannon, noise, psi
from batch.folder import LocalFolder
from batch.manifest import Column, ModelUsed, Run, Snapshot, write_manifest
from shared.command import run
from shared.errors import ExitCode
from shared.frame import Frame
from shared.models.directory import read_model
from shared.schema import Input, Schema
from shared.sketches.file import SketchFile
from shared.sketches.number import NumberSketch
from shared.sketches.sample import Sample
from shared.sketches.sketches import Sketches
from shared.sketches.values import TextSpread, ValueCounts
from tests.support.frames import EVERY_TYPE, made_up
from tests.support.models import threshold_model
from tests.support.tables import Rows, write_rows

Floats = npt.NDArray[np.float64]


def sketched(frame: Frame, scores: Floats, schema: Schema = EVERY_TYPE) -> Sketches:
    sketches = Sketches.of(schema)
    sketches.add(frame, scores, scores > 0.5)
    return sketches


def stream_file(path: Path, sketches: Sketches, **changes: str) -> Path:
    """A file as a worker of the stream writes it."""
    told = {
        "tandem": "1",
        "topic": "customers",
        "group": "tandem",
        "instance": "host-0",
        "model": "churn@2",
        "model_sha256": "a" * 64,
        "since": "2026-01-31T00:00:00.000+00:00",
        "until": "2026-01-31T12:00:00.000+00:00",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SketchFile(**told | changes, sketches=sketches.to_json()).model_dump_json())
    return path


def side(tmp_path: Path, name: str, *, seed: int, rows: int = 20_000, **changed: Any) -> Path:
    """A stream's file about made-up rows, some of whose columns are changed."""
    frame, scores = made_up(rows, seed)
    columns = {column: changed.get(column, values) for column, values in frame.columns.items()}
    return stream_file(
        tmp_path / f"{name}.json", sketched(Frame(rows, columns), changed.get("score", scores))
    )


def drift(capsys: pytest.CaptureFixture[str], *arguments: Path | str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main(["drift", *map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def verdicts(answer: dict[str, Any]) -> dict[str, str]:
    return {feature["name"]: feature["verdict"] for feature in answer["features"]}


def number(values: Floats, kind: Any = "number") -> NumberSketch:
    sketch, sample = NumberSketch(kind), Sample()
    sketch.add(values, sample.extend(len(values)), sample.level)
    return sketch


def counted(**counts: int) -> ValueCounts:
    sketch = ValueCounts(tuple(counts))
    sketch.counts, sketch.count = dict(counts), sum(counts.values())
    return sketch


def entropy(share: float) -> float:
    """Of two bins, in bits."""
    return -(share * math.log2(share) + (1 - share) * math.log2(1 - share))


def test_the_formulas_give_what_they_give_by_hand() -> None:
    a, b = np.array([70.0, 30.0]), np.array([50.0, 50.0])
    shares_a, shares_b = np.array([70.5, 30.5]) / 101, np.array([50.5, 50.5]) / 101
    by_hand = sum((q - p) * math.log(q / p) for p, q in zip(shares_a, shares_b, strict=True))
    assert psi(a, b) == pytest.approx(by_hand)
    assert psi(a, a) == 0
    assert psi(a, b) == pytest.approx(psi(b, a))
    assert jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1
    assert jensen_shannon(np.array([0.5, 0.5]), np.array([0.5, 0.5])) == 0
    # 1 bit less the mean of the entropies of both, by hand: H(0.6) - (H(0.7) + H(0.5)) / 2.
    assert jensen_shannon(a / 100, b / 100) == pytest.approx(entropy(0.6) - (entropy(0.7) + 1) / 2)


def test_the_noise_is_that_of_chi_squared() -> None:
    # The 95th percentiles of chi-squared with 1, 9 and 40 degrees of freedom, from a table.
    for bins, chi_squared in ((2, 3.841), (10, 16.919), (41, 55.758)):
        assert noise(bins, 1_000, 1_000) == pytest.approx(chi_squared / 500, rel=0.03)
    assert noise(1, 10, 10) == 0


def test_samples_of_one_distribution_stay_within_the_noise_in_most_cases() -> None:
    random, within = np.random.default_rng(3), 0
    for _ in range(60):
        found = divergence(number(random.gamma(2, 40, 6_000)), number(random.gamma(2, 40, 4_000)))
        assert found is not None
        within += found.psi < found.noise
    assert within >= 50


def test_bins_of_numbers_are_as_of_the_values_themselves() -> None:
    random = np.random.default_rng(5)
    a, b = random.gamma(2, 40, 8_000), random.gamma(2, 50, 8_000)
    found = divergence(number(a), number(b))
    edges = [a.min() - 1, *np.quantile(a, np.arange(1, 10) / 10), a.max()]
    of_a, of_b = (np.histogram(values, [-np.inf, *edges, np.inf])[0].astype(np.float64) for values in (a, b))
    used = (of_a > 0) | (of_b > 0)
    assert found is not None
    assert found.psi == pytest.approx(psi(of_a[used], of_b[used]), rel=0.15)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (np.full(1_000, 5.0), np.full(1_000, 3.0)),
        (np.full(1_000, 5.0), np.full(1_000, 8.0)),
        (np.repeat([0.0, 5.0, 9.0], 1_000), np.repeat([0.0, 4.9, 9.0], 1_000)),
        (np.arange(1_000.0), np.arange(1_000.0) + 5_000),
        (np.full(1_000, np.nan), np.arange(1_000.0)),
    ],
    ids=["a constant below", "a constant above", "a value of many rows moves", "all above", "none before"],
)
def test_moves_that_deciles_alone_do_not_see_are_seen(before: Floats, after: Floats) -> None:
    for a, b in ((before, after), (after, before)):
        found = divergence(number(a), number(b))
        assert found is not None
        assert found.psi > 1
        same = divergence(number(a), number(a))
        assert same is not None
        assert (same.psi, same.js) == (0, 0)


def test_whole_numbers_have_whole_bins() -> None:
    values = np.random.default_rng(1).integers(0, 3, 8_000).astype(np.float64)
    found = divergence(number(values, "integer"), number(values[:4_000], "integer"))
    assert found is not None
    assert [one.name for one in found.bins] == ["0", "1", "2"]
    assert [one.a for one in found.bins] == pytest.approx(
        [np.mean(values == value) for value in range(3)], abs=0.01
    )


def test_missing_rows_and_values_of_one_side_only_are_bins() -> None:
    a, b = counted(x=70, y=30), counted(y=40, z=50)
    b.missing = 10
    found = divergence(a, b)
    assert found is not None
    assert [(one.name, one.a, one.b) for one in found.bins] == [
        ("x", 0.7, 0.0),
        ("y", 0.3, 0.4),
        ("z", 0.0, 0.5),
        ("missing", 0.0, 0.1),
    ]


def test_texts_are_compared_by_their_bins_and_other_types_not_at_all() -> None:
    def spread(*texts: str) -> TextSpread:
        sketch, sample = TextSpread(), Sample()
        sketch.add(np.array(texts * 500, object), sample.extend(len(texts) * 500), sample.level)
        return sketch

    same, other = (
        divergence(spread("a", "b"), spread("b", "a")),
        divergence(spread("a", "b"), spread("a", "c")),
    )
    assert same is not None
    assert other is not None
    assert same.psi == 0
    assert other.js == pytest.approx(0.5)
    assert divergence(spread("a"), counted(a=1)) is None


def test_alike_sides_end_with_exit_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = side(tmp_path, "one", seed=1), side(tmp_path, "two", seed=2)
    code, answer = drift(capsys, one, two)
    assert (code, answer["drifted"]) == (ExitCode.DONE, False)
    assert set(verdicts(answer).values()) == {"stable"}
    assert set(verdicts(answer)) == {*(x.name for x in EVERY_TYPE.inputs), "score", "decision"}
    assert main(["drift", str(one), str(two)]) == ExitCode.DONE
    assert "No drift: no feature has a PSI above 0.2." in capsys.readouterr().out


def test_a_moved_feature_is_named_first_and_ends_with_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = np.random.default_rng(9).gamma(2, 80, 20_000)
    one, two = side(tmp_path, "one", seed=1), side(tmp_path, "two", seed=2, charges=moved)
    code, answer = drift(capsys, one, two)
    assert (code, answer["drifted"]) == (ExitCode.ANSWER_IS_NO, True)
    assert answer["features"][0]["name"] == "charges"
    assert [name for name, verdict in verdicts(answer).items() if verdict == "drifted"] == ["charges"]
    assert main(["drift", str(one), str(two)]) == ExitCode.ANSWER_IS_NO
    assert "Drifted: charges (a PSI above 0.2)." in capsys.readouterr().out
    assert drift(capsys, one, two, "--limit", "5")[0] == ExitCode.DONE
    assert drift(capsys, one, two, "--limit", "5", "--js-limit", "0.01")[0] == ExitCode.ANSWER_IS_NO


def test_the_score_and_the_decision_may_drift_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = np.random.default_rng(9).random(20_000) ** 3
    _, answer = drift(capsys, side(tmp_path, "one", seed=1), side(tmp_path, "two", seed=2, score=scores))
    found = verdicts(answer)
    assert [name for name, verdict in found.items() if verdict == "drifted"] == ["score", "decision"]


def test_too_few_rows_are_no_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = side(tmp_path, "one", seed=1), side(tmp_path, "two", seed=2, rows=30)
    code, answer = drift(capsys, one, two)
    assert code == ExitCode.DONE
    assert verdicts(answer)["charges"] == "too few rows"
    assert {feature["rows_b"] for feature in answer["features"]} == {30}
    main(["drift", str(one), str(two)])
    assert "Too few rows for a verdict on " in " ".join(capsys.readouterr().out.split())
    nothing = side(tmp_path, "nothing", seed=2, rows=0)
    assert drift(capsys, one, nothing)[1]["features"][0]["noise"] is None
    main(["drift", str(one), str(nothing)])
    assert "No verdict" in capsys.readouterr().out


def test_only_common_features_are_compared_and_the_others_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = (*EVERY_TYPE.inputs[:2], Input(name="note", type="number"), Input(name="age", type="integer"))
    schema = Schema(inputs=inputs)
    frame, scores = made_up(5_000, 3, schema)
    other = stream_file(
        tmp_path / "other.json", sketched(frame, scores, schema), model="other@1", model_sha256="b" * 64
    )
    one = side(tmp_path, "one", seed=1)
    _, answer = drift(capsys, one, other)
    assert set(verdicts(answer)) == {"charges", "total", "score", "decision"}
    assert answer["only_in_a"] == ["tenure", "partner", "contract", "town"]
    assert (answer["only_in_b"], answer["of_other_type"]) == (["age"], ["note"])
    main(["drift", str(one), str(other)])
    shown = capsys.readouterr().out
    assert "The models differ: churn@2 (aaaaaaaaaaaa) in A, other@1 (bbbbbbbbbbbb) in B." in shown
    assert "Only in B: age" in shown
    assert "Of another type in A than in B: note" in shown


def test_scored_folders_are_compared_by_what_their_manifests_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, random = threshold_model(tmp_path / "model"), np.random.default_rng(4)
    values = {"one": random.random(3_000), "two": random.random(3_000), "other": random.random(3_000) ** 2}
    for name, features in values.items():
        rows: Rows = [
            {"customer_id": row, "feature": feature} for row, feature in enumerate(features.tolist())
        ]
        path = write_rows(tmp_path / f"{name}-rows", "csv", [*rows, {"customer_id": 9}])
        # Parts of fewer rows than there are, which are merged.
        arguments = ["--model", str(model), "--output", str(tmp_path / name), "--part-rows", "700"]
        assert main(["score", str(path), *arguments]) == ExitCode.DONE
    code, answer = drift(capsys, tmp_path / "one", tmp_path / "two")
    assert (code, answer["a"]["rows"]) == (ExitCode.DONE, 3_000)
    assert set(verdicts(answer).values()) == {"stable"}
    code, answer = drift(capsys, tmp_path / "one", tmp_path / "other")
    assert code == ExitCode.ANSWER_IS_NO
    assert verdicts(answer)["feature"] == "drifted"


def failed(capsys: pytest.CaptureFixture[str], *arguments: Path | str) -> tuple[int, str]:
    capsys.readouterr()
    code = run(main, ["drift", *map(str, arguments)])
    return code, " ".join(capsys.readouterr().err.split())


def test_sides_without_a_common_input_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = Schema(inputs=(Input(name="age", type="integer"),))
    other = stream_file(tmp_path / "other.json", sketched(*made_up(10, 1, schema), schema))
    code, said = failed(capsys, side(tmp_path, "one", seed=1), other)
    assert code == ExitCode.UNREADABLE
    assert "have no input in common" in said


def test_a_folder_of_the_streams_files_is_merged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame, scores = made_up(20_000)
    halves = [(frame.slice(0, 5_000), scores[:5_000]), (frame.slice(5_000, 20_000), scores[5_000:])]
    for place, half in enumerate(halves):
        stream_file(tmp_path / "kept" / "churn@2" / f"{place}.json", sketched(*half))
    (tmp_path / "kept" / "churn@2" / ".2.json.tmp").write_text("half of a fi")
    whole = side(tmp_path, "whole", seed=1)
    for merged in (tmp_path / "kept", f"{tmp_path}/kept/*/*.json"):
        code, answer = drift(capsys, whole, merged)
        assert (code, answer["b"]["rows"]) == (ExitCode.DONE, 20_000)
        assert max(feature["psi"] for feature in answer["features"]) < 0.01


def snapshot(folder: Path, sketches: Sketches | None) -> Path:
    """A folder as `batch export` leaves it, for an empty topic."""
    written = LocalFolder(folder)
    written.create()
    manifest = Snapshot(
        topic="customers",
        partitions=[],
        model=None if sketches is None else ModelUsed.of(read_model(Path("models/churn"))),
        rows=0,
        sketches=None if sketches is None else sketches.to_json(),
        columns=[Column(name="value", type="binary", nullable=True)],
        parts=[],
        settings={},
        run=Run(started="", finished="", seconds=0.0, rows_per_second=0.0),
    )
    write_manifest(written, manifest)
    return folder


def test_a_snapshot_has_inputs_but_no_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sketches = Sketches.of(EVERY_TYPE)
    sketches.add(made_up(20_000, 2)[0])
    folder = snapshot(tmp_path / "snapshot", sketches)
    code, answer = drift(capsys, side(tmp_path, "one", seed=1), folder)
    assert code == ExitCode.DONE
    assert set(verdicts(answer)) == {declared.name for declared in EVERY_TYPE.inputs}
    assert drift(capsys, folder / "manifest.json", folder)[1]["features"][0]["psi"] == 0


def test_what_holds_no_sketches_is_refused_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = side(tmp_path, "one", seed=1, rows=10)
    (tmp_path / "empty").mkdir()
    (tmp_path / "rows.json").write_text('{"customer_id": 1}')
    damaged = json.loads(one.read_text())
    damaged["sketches"]["features"]["charges"]["digests"][0]["digest"] = "AAAA"
    (tmp_path / "damaged.json").write_text(json.dumps(damaged))
    for given, said in (
        (tmp_path / "empty", "there are no sketches Name an output folder"),
        (tmp_path / "nowhere", "there are no sketches"),
        (tmp_path / ("long" * 100), "cannot be read: File name too long"),
        (tmp_path / "rows.json", "rows.json: it is no sketch of a stream"),
        (tmp_path / "damaged.json", "damaged.json: its sketches cannot be read: its bytes are no t-digest"),
        (snapshot(tmp_path / "unparsed", None), "Export it again with --model"),
    ):
        code, told = failed(capsys, one, given)
        assert code == ExitCode.UNREADABLE
        assert said in told


def test_files_of_several_models_are_not_merged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = side(tmp_path, "one", seed=1, rows=10)
    sketches = sketched(*made_up(10))
    stream_file(tmp_path / "kept" / "a.json", sketches)
    stream_file(tmp_path / "kept" / "b.json", sketches, model_sha256="b" * 64)
    code, said = failed(capsys, one, tmp_path / "kept")
    assert code == ExitCode.UNREADABLE
    assert "sketches of several models: churn@2 (aaaaaaaaaaaa), churn@2 (bbbbbbbbbbbb)" in said
