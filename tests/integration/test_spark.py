"""Scoring by Spark gives what the local engine gives, to the byte."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batch.folder import JOURNAL_FILE, LocalFolder
from batch.manifest import MANIFEST_FILE
from batch.score import main
from shared.errors import ConfigurationError, InputError
from tests.support.models import threshold_model
from tests.support.tables import LESSON, manifest_of, write_rows
from tests.support.trouble import give_up

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("spark")]

ROWS = [*LESSON, {"customer_id": 105, "feature": None}, *LESSON, {"customer_id": 106, "feature": None}]


@pytest.fixture(scope="module", autouse=True)
def spark() -> Iterator[None]:
    """One session for all: starting Java takes seconds."""
    try:
        from pyspark.sql import SparkSession  # noqa: PLC0415
    except ImportError:
        give_up("pyspark is missing: install tandem-scorer[spark]")
    if shutil.which("java") is None:
        give_up("Java is missing: install Java 17")
    session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    session.sparkContext.pythonExec = sys.executable
    yield
    session.stop()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return threshold_model(tmp_path / "model")


def score(source: Path, model: Path, output: Path, *more: str) -> None:
    arguments = [str(source), "--model", str(model), "--output", str(output), "--part-rows", "3"]
    assert main([*arguments, *more]) == 0


def files(folder: Path) -> dict[str, bytes]:
    """The bytes of all files but the manifest's."""
    return {item.name: item.read_bytes() for item in folder.iterdir() if item.name != MANIFEST_FILE}


@pytest.mark.parametrize("form", ["parquet", "csv", "ndjson"])
def test_spark_writes_what_the_local_engine_writes(form: str, tmp_path: Path, model: Path) -> None:
    source = write_rows(tmp_path / "in", form, ROWS)
    score(source, model, tmp_path / "local")
    score(source, model, tmp_path / "spark", "--engine", "spark")
    local, spark = (manifest_of(tmp_path / name) for name in ("local", "spark"))
    assert local.counts.rejected
    assert files(tmp_path / "spark") == files(tmp_path / "local")
    assert spark.model_dump(exclude={"run"}) == local.model_dump(exclude={"run"})


def test_damage_that_a_task_meets_is_a_sentence(tmp_path: Path, model: Path) -> None:
    """The header is good, so that the driver takes the file; its data pages are not."""
    source = write_rows(tmp_path / "in", "parquet", ROWS)
    content = bytearray(source.read_bytes())
    content[4:60] = b"\xff" * 56
    source.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"rows\.parquet") as caught:
        score(source, model, tmp_path / "spark", "--engine", "spark")
    assert "Traceback" not in str(caught.value)
    assert not (tmp_path / "spark" / MANIFEST_FILE).exists()


def test_a_run_that_was_broken_off_goes_on_by_spark(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_rows(tmp_path / "in", "csv", ROWS)
    score(source, model, tmp_path / "local")
    append = LocalFolder.append

    def break_off(folder: LocalFolder, line: bytes) -> None:
        if b'"number":2' in line:
            raise InputError("broken off")
        append(folder, line)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFolder, "append", break_off)
        with pytest.raises(InputError, match="broken off"):
            score(source, model, tmp_path / "spark")
    assert (tmp_path / "spark" / JOURNAL_FILE).exists()
    score(source, model, tmp_path / "spark", "--engine", "spark", "--resume")
    assert files(tmp_path / "spark") == files(tmp_path / "local")


def test_a_limit_is_refused(tmp_path: Path, model: Path) -> None:
    source = write_rows(tmp_path / "in", "csv", ROWS)
    with pytest.raises(ConfigurationError, match="--limit"):
        score(source, model, tmp_path / "spark", "--engine", "spark", "--limit", "2")
