"""Scoring from an object store into one: the same bytes as on this machine, killed or not."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch.__main__ import main
from batch.object_lock import STALE_SECONDS
from shared.deadline import Deadline
from shared.errors import ExitCode
from tests.support.commands import ROOT, Finished, environment
from tests.support.models import threshold_model
from tests.support.object_store import FORBIDDEN, Bucket, ObjectStore
from tests.support.tables import ENCODERS, LESSON

Score = Callable[..., Finished]

MANY_ROWS = 24_000
PART_ROWS = 1_000


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The lesson's model."""
    return threshold_model(tmp_path / "model")


@pytest.fixture
def score(capsys: pytest.CaptureFixture[str]) -> Score:
    """Runs `python -m batch score`."""

    def run(*arguments: str | Path) -> Finished:
        code = main(["score", *map(str, arguments)])
        said = capsys.readouterr()
        return Finished(code, said.out, said.err)

    return run


def local_files(folder: Path) -> dict[str, bytes]:
    """The files of an output folder by name, and of the manifest what does not tell where and when."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return with_plain_manifest(files)


def stored_files(bucket: Bucket, folder: str) -> dict[str, bytes]:
    """The same of a folder in a bucket."""
    return with_plain_manifest(
        {key.removeprefix(f"{folder}/"): bucket.get(key) for key in bucket.keys(f"{folder}/")}
    )


def with_plain_manifest(files: dict[str, bytes]) -> dict[str, bytes]:
    manifest: dict[str, Any] = json.loads(files["manifest.json"])
    del manifest["run"], manifest["settings"]["input"]
    return {**files, "manifest.json": json.dumps(manifest).encode()}


def fill(bucket: Bucket, folder: Path) -> None:
    """Puts the same inputs into a bucket and a folder: one of each format, with a bad row in one."""
    folder.mkdir()
    for name, write in ENCODERS.items():
        rows = [*LESSON, {"customer_id": 105, "feature": None}] if name == "csv" else LESSON
        content = write(rows)
        (folder / f"rows.{name}").write_bytes(content)
        bucket.put(f"in/rows.{name}", content)


def many_rows() -> bytes:
    lines = (f"{row},0.{row % 997}" for row in range(MANY_ROWS))
    return "\n".join(("customer_id,feature", *lines, "")).encode()


def test_a_store_to_a_store_gives_the_bytes_that_local_folders_give(
    bucket: Bucket, tmp_path: Path, model: Path, score: Score
) -> None:
    fill(bucket, tmp_path / "in")
    here = score(tmp_path / "in", "--model", model, "--output", tmp_path / "out")
    there = score(f"{bucket.address}/in", "--model", model, "--output", f"{bucket.address}/a/out")
    assert (here.code, there.code) == (ExitCode.DONE, ExitCode.DONE), here.errors + there.errors
    assert stored_files(bucket, "a/out") == local_files(tmp_path / "out")
    assert f"{bucket.address}/a/out" in there.errors + there.output


def test_results_in_a_store_are_compared_with_results_here(
    bucket: Bucket, tmp_path: Path, model: Path, score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(bucket, tmp_path / "in")
    for source, output in (
        (f"{bucket.address}/in", f"{bucket.address}/out"),
        (tmp_path / "in", tmp_path / "out"),
    ):
        assert score(source, "--model", model, "--output", output).code == ExitCode.DONE
    assert (
        main(["compare", str(tmp_path / "out"), f"{bucket.address}/out", "--on=prediction_id"])
        == ExitCode.DONE
    )
    part = bucket.keys("out/part-")[0]
    bucket.put(part, b"PAR1")
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "out"), f"{bucket.address}/out"]) == ExitCode.UNREADABLE
    assert f"{bucket.address}/{part}: the file is missing or has another length" in capsys.readouterr().err


def test_a_pattern_is_read_into_a_local_folder(
    bucket: Bucket, tmp_path: Path, model: Path, score: Score
) -> None:
    for day in ("2026-01-01", "2026-01-02", "2025-12-31"):
        bucket.put(f"data/{day}/rows.csv", ENCODERS["csv"](LESSON))
    done = score(f"{bucket.address}/data/2026-*/*.csv", "--model", model, "--output", tmp_path / "out")
    assert done.code == ExitCode.DONE, done.errors
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert [one["name"] for one in manifest["inputs"]] == ["2026-01-01/rows.csv", "2026-01-02/rows.csv"]
    assert manifest["counts"]["scored"] == 8


def test_credentials_in_addresses_are_told_to_nobody(
    bucket: Bucket, object_store: ObjectStore, model: Path, score: Score
) -> None:
    bucket.put("rows.csv", ENCODERS["csv"](LESSON))
    options = f"endpoint_override={object_store.endpoint}&scheme=http&region=us-east-1"
    source = f"s3://a-key:a-secret@{bucket.name}/rows.csv?{options}"
    output = f"s3://a-key:a-secret@{bucket.name}/out?{options}"
    done = score(source, "--model", model, "--output", output)
    assert done.code == ExitCode.DONE, done.errors
    written = b"".join(stored_files(bucket, "out").values()) + bucket.get("out/manifest.json")
    again = score(source, "--model", model, "--output", output)
    assert again.code == ExitCode.UNREADABLE
    assert "the output folder is not empty" in again.errors
    for said in (done.output, done.errors, again.errors, written.decode(errors="replace")):
        assert "a-secret" not in said
        assert "endpoint_override" not in said


@pytest.mark.parametrize(
    ("bucket_name", "said"),
    [
        ("no-such-bucket", "there is no bucket s3://no-such-bucket"),
        (FORBIDDEN, "the store refuses.*AWS_ACCESS_KEY"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_anything_is_scored(
    bucket: Bucket, object_store: ObjectStore, model: Path, score: Score, bucket_name: str, said: str
) -> None:
    if bucket_name == FORBIDDEN:
        bucket_name = object_store.new_bucket(FORBIDDEN).name
    bucket.put("rows.csv", ENCODERS["csv"](LESSON))
    done = score(f"{bucket.address}/rows.csv", "--model", model, "--output", f"s3://{bucket_name}/out")
    assert done.code == ExitCode.UNREADABLE
    assert re.search(f"(?s)s3://{bucket_name}.*{said}", done.errors)
    assert "Traceback" not in done.errors


def test_a_killed_run_is_resumed_to_the_same_bytes_once_its_lock_is_stale(
    bucket: Bucket, object_store: ObjectStore, tmp_path: Path, model: Path, score: Score
) -> None:
    rows = many_rows()
    (tmp_path / "rows.csv").write_bytes(rows)
    bucket.put("rows.csv", rows)
    given = ["--model", str(model), "--part-rows", str(PART_ROWS), "--workers", "2"]
    remote = [f"{bucket.address}/rows.csv", *given, "--output", f"{bucket.address}/out"]
    assert score(tmp_path / "rows.csv", *given, "--output", tmp_path / "out").code == ExitCode.DONE
    killed_after(bucket, object_store, remote, lines=3)
    done = len(bucket.keys("out/part-"))
    assert 0 < done < MANY_ROWS / PART_ROWS

    early = score(*remote, "--resume")
    assert early.code == ExitCode.UNREADABLE
    assert "another run is writing to this folder" in early.errors
    assert f"free {STALE_SECONDS:g} seconds after its last sign of life" in early.errors

    (lock,) = bucket.keys("out/.lock-")
    bucket.age(lock, STALE_SECONDS + 5)
    resumed = score(*remote, "--resume")
    assert resumed.code == ExitCode.DONE, resumed.errors
    assert "this run takes over its lock" in resumed.errors
    assert stored_files(bucket, "out") == local_files(tmp_path / "out")
    assert score(*remote, "--resume").code == ExitCode.DONE


def killed_after(bucket: Bucket, store: ObjectStore, arguments: list[str], lines: int) -> None:
    """Kills a run once its journal has so many lines."""
    run = subprocess.Popen(
        [sys.executable, "-m", "batch", "score", *arguments],
        cwd=ROOT,
        env={**environment(), **store.variables},
        stderr=subprocess.DEVNULL,
    )
    deadline = Deadline.after(60)
    while len(bucket.keys("out/.journal/")) < lines:
        assert run.poll() is None
        assert not deadline.passed
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
