"""A whole proof over exported snapshots: what it says, what it keeps, and how it goes on after a kill."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from batch.__main__ import main as batch
from batch.manifest import Snapshot, read_manifest
from batch.proof import command, plan
from batch.proof import prove as proving
from batch.proof.classes import Found
from batch.proof.judge import PartitionJudge
from batch.proof.result import Proof
from batch.proof.settings import ProveSettings
from batch.proof.show import show
from consumer.scoring import StreamScorer
from shared.errors import InputError
from shared.files import read_file
from shared.kafka.columns import NewRecords, RecordColumns
from shared.predict import Predictor
from tests.support.evidence import EVENTS, LETTERS, PREDICTIONS, records, write_snapshot
from tests.support.models import change_model, threshold_model
from tests.support.reports import failing, holding

PARTITIONS, EVENTS_EACH = 2, 40
Prove = Callable[..., tuple[int, dict[str, Any]]]


class Roomy:
    """Topics that take everything."""

    def too_large(self, records: NewRecords) -> list[int]:
        """None of them."""
        del records
        return []


def as_columns(written: NewRecords) -> RecordColumns:
    """What was written, as it stands on its topic."""
    columns = records(written.topic, written.values, written.partition)
    columns.keys = list(written.keys)
    columns.headers = {row: list(headers) for row, headers in enumerate(written.headers or ())}
    return columns


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return threshold_model(tmp_path / "model")


@pytest.fixture
def folder(tmp_path: Path, model: Path) -> Path:
    """Exports of what an honest stream read and wrote."""
    scorer = StreamScorer(Predictor.load(model), PREDICTIONS, LETTERS, Roomy())
    values = [
        b"junk" if row % 20 == 7 else json.dumps({"customer_id": row, "feature": row / 50}).encode()
        for row in range(EVENTS_EACH)
    ]
    events = [records(EVENTS, values, partition) for partition in range(PARTITIONS)]
    scored = scorer.score(events, 1_800_000_000_000)
    written = [as_columns(batch) for one in scored for batch in one.records]
    write_snapshot(tmp_path / "e", EVENTS, events)
    write_snapshot(tmp_path / "p", PREDICTIONS, [one for one in written if one.topic == PREDICTIONS])
    write_snapshot(tmp_path / "d", LETTERS, [one for one in written if one.topic == LETTERS])
    return tmp_path


@pytest.fixture
def prove(folder: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> Prove:
    """Runs the command over the exports; gives its exit code and what it printed as JSON."""

    def run(*more: str | Path, models: tuple[Path, ...] = (model,)) -> tuple[int, dict[str, Any]]:
        exports = ("--events", folder / "e", "--predictions", folder / "p", "--dead-letters", folder / "d")
        given = [part for one in models for part in ("--model", one)]
        code = batch(["prove", *map(str, (*exports, *given, *more)), "--json"])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else {"error": said.err}

    return run


def test_an_honest_stream_is_proved_from_its_exports(prove: Prove, folder: Path) -> None:
    code, said = prove("--report", folder / "report")
    assert (code, said["holds"], said["events"]) == (0, True, PARTITIONS * EVENTS_EACH)
    assert said["counts"]["rejected_alike"] == PARTITIONS * 2
    assert json.loads((folder / "report/report.json").read_bytes())["proof"] == said


def test_a_proof_that_was_killed_goes_on_where_it_was(
    prove: Prove, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole = prove()
    judge, judged = PartitionJudge.judge, []

    def killed(self: PartitionJudge, window: Any) -> Any:
        judged.append(window.partition)
        if judged.count(1) == 1 and window.partition == 1:
            raise KeyboardInterrupt
        return judge(self, window)

    monkeypatch.setattr(PartitionJudge, "judge", killed)
    assert prove("--work-folder", folder / "work")[0] == 130
    code, said = prove("--work-folder", folder / "work")
    assert code == 3
    assert "--resume" in said["error"]
    code, said = prove("--work-folder", folder / "work", "--resume")
    assert (code, judged) == (0, [0, 1, 1])
    assert {**said, "batch_rate": None} == {**whole, "batch_rate": None}


def test_what_was_judged_otherwise_is_judged_anew(prove: Prove, folder: Path, model: Path) -> None:
    work = ("--work-folder", folder / "work")
    other = change_model(threshold_model(folder / "other"), version="9")
    code, said = prove(*work, models=(other,))
    assert (code, said["counts"]["unknown_model"]) == (1, PARTITIONS * EVENTS_EACH)
    assert prove(*work, "--resume", models=(other, model))[0] == 0
    code, said = prove(*work, "--resume", "--sample", "0.5", models=(other, model))
    assert code == 0
    assert 0 < said["counts"]["not_sampled"] < PARTITIONS * EVENTS_EACH


def test_a_damaged_note_of_what_was_found_is_named(prove: Prove, folder: Path) -> None:
    work = ("--work-folder", folder / "work")
    assert prove(*work)[0] == 0
    note = folder / "work" / "found" / "0.json"
    note.write_text("{")
    code, said = prove(*work, "--resume")
    assert code == 3
    assert str(note) in said["error"]


def test_a_record_that_is_no_prediction_breaks_the_proof(prove: Prove, folder: Path) -> None:
    strange = records(PREDICTIONS, [b"hello"], 2)
    honest = json.loads((folder / "p" / "manifest.json").read_bytes())
    assert honest["rows"] == PARTITIONS * (EVENTS_EACH - 2)
    write_snapshot(folder / "strange", PREDICTIONS, [strange])
    code, said = prove("--predictions", folder / "strange")
    assert code == 1
    assert (said["foreign"], said["conserved"]) == (1, False)
    assert "records that Tandem has not written" in " ".join(said["notes"])


def test_advice_without_a_known_model_is_left_out_and_the_proof_is_told(
    prove: Prove, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(command.logger, "warning", warnings.append)
    other = change_model(threshold_model(folder / "other"), version="9")
    code, said = prove("--advise", models=(other,))
    assert code == 1
    assert said["counts"]["unknown_model"] > 0
    assert warnings == ["No advice is given: no model that scored these events is at hand."]


def test_a_proof_stands_without_the_advice_that_cannot_be_given(
    prove: Prove, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise InputError("nothing says when these events happened")

    warnings: list[object] = []
    monkeypatch.setattr(command, "advise", refuse)
    monkeypatch.setattr(command.logger, "warning", lambda _, error: warnings.append(error))
    code, said = prove("--advise")
    assert (code, said["holds"]) == (0, True)
    assert str(*warnings) == "nothing says when these events happened"


def test_rows_without_an_event_break_the_proof(prove: Prove, folder: Path) -> None:
    rows = folder / "rows.csv"
    lines = [f"{row},{row / 50}" for row in range(EVENTS_EACH + 1) if row % 20 != 7]
    rows.write_text("\n".join(["customer_id,feature", *lines]) + "\n")
    code, said = prove("--rows", rows, "--on", "customer_id")
    assert code == 1
    # Each customer came once to each of two partitions: the rows cannot say which event is theirs.
    assert said["counts"]["duplicated"] == PARTITIONS * (EVENTS_EACH - 2)
    assert said["rows_without_event"] == 1
    assert not said["conserved"]


def test_events_that_were_laid_by_otherwise_are_not_laid_beside_rows(prove: Prove, folder: Path) -> None:
    """Whatever was asked in between, the answer and its certificate are those of a proof of its own."""
    rows = folder / "rows.csv"
    lines = [f"{row},{row / 60}" for row in range(EVENTS_EACH) if row % 20 != 7]
    rows.write_text("\n".join(["customer_id,feature", *lines]) + "\n")
    beside = ("--rows", rows, "--on", "customer_id")
    _, whole = prove(*beside)
    work = ("--work-folder", folder / "work")
    assert prove(*work, *beside, "--sample", "0.1")[1]["counts"]["not_sampled"] > 0
    prove(*work, "--resume")
    code, said = prove(*work, "--resume", *beside)
    assert code == 1
    assert said["counts"] == whole["counts"]
    assert said["certificate"] == whole["certificate"]


def test_the_certificate_tells_a_proof_that_failed_from_one_that_holds(prove: Prove, folder: Path) -> None:
    """A record of strangers, or rows of other customers, change no book and yet the certificate."""
    _, honest = prove()
    manifest = read_manifest(folder / "p")
    assert isinstance(manifest, Snapshot)
    part = read_file(folder / "p" / manifest.parts[0].file)
    values = [value.as_py() for chunk in part for value in chunk.batch.column("value")]  # type: ignore[union-attr]
    other = next(iter(read_file(folder / "p" / manifest.parts[1].file))).batch
    assert other is not None
    strangers = [
        records(PREDICTIONS, [*values, b"stranger"], 0),
        records(PREDICTIONS, other.column("value").to_pylist(), 1),
    ]
    write_snapshot(folder / "strange", PREDICTIONS, [keyed(one) for one in strangers])
    code, said = prove("--predictions", folder / "strange")
    assert (code, said["foreign"], said["counts"]) == (1, 1, honest["counts"])
    assert said["certificate"] != honest["certificate"]


def keyed(columns: RecordColumns) -> RecordColumns:
    """The same records under the keys of the events that they are of."""
    said = [json.loads(value or b"") if (value or b"").startswith(b"{") else {} for value in columns.values]
    columns.keys = [str(one["customer_id"]).encode() if one else None for one in said]
    return columns


def test_a_folder_of_another_version_is_not_gone_on_in(
    prove: Prove, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = ("--work-folder", folder / "work")
    assert prove(*work)[0] == 0
    monkeypatch.setattr(plan, "tandem_version", lambda: "0.0.1")
    code, said = prove(*work, "--resume")
    assert code == 3
    assert "had another version of Tandem" in said["error"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"events": "e"}, "--events needs --predictions, --dead-letters too"),
        ({"replays": "r"}, "--replays belongs to --events"),
        ({"resume": True}, "--resume goes on in the --work-folder"),
        ({"sample": 0}, "greater than 0"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ProveSettings.model_validate({"model": ["m"], **options})


def shown(proof: Proof) -> str:
    """What a person sees of a proof."""
    console = Console(file=StringIO(), width=200, highlight=False)
    show(proof, console)
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


def test_a_proof_that_holds_is_told_with_its_books_and_its_certificate() -> None:
    proof = holding().proof
    assert proof is not None
    text = shown(proof)
    assert text.rstrip().endswith("events, to the bit, on both paths.")
    assert f"Certificate {proof.certificate}" in text
    assert f"{len(proof.ledger)} of {len(proof.ledger)} partitions close" in text
    assert "unknown model" not in text


def test_a_proof_that_does_not_hold_tells_every_class_and_its_examples() -> None:
    proof = failing().proof
    assert proof is not None
    text = shown(proof)
    for example in proof.examples:
        assert example.detail in text
        assert example.position in text
    for wrong in ("by an unknown model", "from another input", "with other bits", "out of order"):
        assert wrong in proof.verdict
    assert "✗ Not proved" in text


def test_nothing_is_not_proved() -> None:
    proof = holding().proof
    assert proof is not None
    nothing = proof.model_copy(update={"counts": dict.fromkeys(Found, 0)})
    assert nothing.verdict == "Nothing is proved: there are no events."
    assert not nothing.holds


def test_each_partition_leaves_a_note_of_what_was_found(prove: Prove, folder: Path) -> None:
    work = folder / "work"
    assert prove("--work-folder", work)[0] == 0
    assert sorted(path.name for path in (work / "found").iterdir()) == [
        f"{n}.json" for n in range(PARTITIONS)
    ]
    assert proving.Found.model_validate_json((work / "found/0.json").read_bytes()).tally.ledger.closes
