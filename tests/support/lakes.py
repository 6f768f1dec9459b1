"""Tables of a lake for the tests, and what scoring them gives."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg import catalog as pyiceberg_catalog
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriterV2,
)
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _FastAppendFiles
from pyiceberg.typedef import Record
from pyiceberg.utils.config import Config

from batch.lakes import open_lake
from batch.lakes.rows import sources_of_lakes
from batch.manifest import Predictions
from batch.score import main
from batch.sources import Reading, Scorable
from shared.predict import Predictor
from tests.support.tables import manifest_of


def configure_catalog(uri: str, warehouse: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configures the catalog `local` of Iceberg tables."""
    monkeypatch.setenv("PYICEBERG_CATALOG__LOCAL__URI", uri)
    monkeypatch.setenv("PYICEBERG_CATALOG__LOCAL__WAREHOUSE", warehouse)
    # pyiceberg reads the surroundings when it is imported.
    monkeypatch.setattr(pyiceberg_catalog, "_ENV_CONFIG", Config())


@contextmanager
def iceberg_catalog(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalog]:
    """The catalog `local` in a SQLite file, with the namespace `shop`, as the surroundings configure it."""
    configure_catalog(f"sqlite:///{folder}/catalog.db", f"file://{folder}/warehouse", monkeypatch)
    catalog = pyiceberg_catalog.load_catalog("local")
    catalog.create_namespace("shop")
    yield catalog
    catalog.close()


def scores_of(sources: Sequence[Scorable], model: Path, *, split_rows: int = 1 << 20) -> dict[str, Any]:
    """What becomes of all rows: by position the score and the decision, or the reason of a rejection."""
    predictor = Predictor.load(model)
    found: dict[str, Any] = {}
    for source in sources:
        source.check(predictor)
        row = 0
        for split in source.splits(predictor, split_rows):
            assert split.first == row
            for chunk in source.chunks(predictor, split):
                assert [int(number) for number in chunk.rows[:1]] in ([], [row])
                row += len(chunk.rows) + len(chunk.rejections)
                scored = source.score(predictor, chunk)
                outcome = scored.outcome
                answers = zip(outcome.scores.tolist(), outcome.decisions.tolist(), strict=True)
                found |= dict(zip(scored.ids.to_pylist(), answers, strict=True))
                found |= {each["position"]: each["reason"] for each in scored.rejected.to_pylist()}
            assert split.rows in (None, row - split.first)
    return found


def lake_scores(address: str, model: Path, *, batch_rows: int = 65_536, **options: Any) -> dict[str, Any]:
    """What becomes of the rows of a table."""
    return scores_of(sources_of_lakes([open_lake(address)], Reading(batch_rows=batch_rows)), model, **options)


def delete_rows(table: Table, file: str, rows: Sequence[int]) -> None:
    """Deletes rows of an Iceberg data file as other engines do: by a file of their numbers beside it."""
    path = f"{table.location()}/data/deletes-{len(table.snapshots())}.parquet"
    content = pa.table({"file_path": [file] * len(rows), "pos": pa.array(rows, pa.int64())})
    with table.io.new_output(path).create() as output:
        pq.write_table(content, output)
    entry = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=len(rows),
        file_size_in_bytes=len(table.io.new_input(path)),
        spec_id=table.spec().spec_id,
    )
    with table.transaction() as transaction:
        append = _Deletes(Operation.DELETE, transaction, table.io)
        append.deletes = entry
        append.commit()


class _Deletes(_FastAppendFiles):
    """A snapshot that adds a file of deleted rows, which pyiceberg itself only reads."""

    deletes: DataFile

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        metadata = self._transaction.table_metadata
        with _DeletesWriter(
            metadata.spec(), metadata.schema(), self.new_manifest_output(), self._snapshot_id, "null"
        ) as writer:
            writer.add(
                ManifestEntry.from_args(
                    status=ManifestEntryStatus.ADDED, snapshot_id=self._snapshot_id, data_file=self.deletes
                )
            )
        return [*manifests, writer.to_manifest_file()]


class _DeletesWriter(ManifestWriterV2):
    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


def rows_of_table(table: Any) -> list[Mapping[str, Any]]:
    """The rows of a Delta or an Iceberg table, by their own library."""
    found = table.to_pyarrow_table() if hasattr(table, "to_pyarrow_table") else table.scan().to_arrow()
    rows: list[Mapping[str, Any]] = found.to_pylist()
    return rows


def run_of(folder: Path, model: Path) -> tuple[Path, Predictions]:
    """A finished run of the lesson's model: four predictions in two parts, and two rejected rows."""
    rows = folder / "rows.csv"
    folder.mkdir(parents=True, exist_ok=True)
    rows.write_text("customer_id,feature\n101,0.2\n102,0.8\n105,\n103,0.5\n106,x\n104,0.9\n")
    scored = folder / "scored"
    assert main([str(rows), "--model", str(model), "--output", str(scored), "--part-rows", "3"]) == 0
    return scored, manifest_of(scored)
