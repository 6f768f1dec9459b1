"""A proof's work folder: each step is done once, and nothing half done counts, whatever is killed."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from batch import durable
from batch.folder import LocalFolder
from batch.manifest import MANIFEST_FILE
from batch.proof.evidence import Evidence
from batch.proof.gather import PLAN_FILE, gather, work_folder
from batch.proof.plan import AnswerRange, EventRange, Plan, Role, settings_of_plan
from batch.proof.settings import ProveSettings
from shared.errors import ConfigurationError, InputError
from shared.kafka.columns import RecordColumns
from shared.kafka.to_end import Extent
from shared.progress import Meter
from tests.support.evidence import (
    EVENTS,
    LETTERS,
    PREDICTIONS,
    REPLAYS,
    events,
    exports,
    gathered,
    letters,
    predictions,
    prove_settings,
    records,
    replay_entry,
)

_STEPS = ("write", "rename", "remove")
_TOPICS: Mapping[str, list[RecordColumns]] = {
    EVENTS: [events(6), events(4, partition=1)],
    PREDICTIONS: [predictions([0, 2, 1, 4]), predictions(range(4), partition=1)],
    LETTERS: [letters([3, 5])],
    REPLAYS: [records(REPLAYS, [replay_entry(5)])],
}


class _Killed(BaseException):
    """Ends a run as SIGKILL would."""


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Topics in memory, and how often each partition was read."""
    reads: dict[str, int] = {}

    def read(_: object, topic: str, wanted: Mapping[int, Extent]) -> Iterator[RecordColumns]:
        [partition] = wanted
        reads[f"{topic}/{partition}"] = reads.get(f"{topic}/{partition}", 0) + 1
        for columns in _TOPICS[topic]:
            if columns.partition == partition:
                yield columns

    def fixed(settings: ProveSettings) -> Plan:
        def ends(topic: str) -> list[AnswerRange]:
            return [
                AnswerRange(partition=one.partition, start=0, end=one.offsets[-1] + 1)
                for one in _TOPICS[topic]
            ]

        return Plan(
            topics={
                Role.EVENTS: EVENTS,
                Role.PREDICTIONS: PREDICTIONS,
                Role.DEAD_LETTERS: LETTERS,
                Role.REPLAYS: REPLAYS,
            },
            events=[EventRange(partition=0, start=0, end=6), EventRange(partition=1, start=0, end=4)],
            answers={
                Role.PREDICTIONS: ends(PREDICTIONS),
                Role.DEAD_LETTERS: ends(LETTERS),
                Role.REPLAYS: ends(REPLAYS),
            },
            settings=settings_of_plan(settings),
        )

    monkeypatch.setattr("batch.export.read_to_end", read)
    monkeypatch.setattr("batch.proof.gather.fix", fixed)
    return reads


def judged(evidence: Evidence) -> dict[int, Any]:
    """All that there is to judge, as plain data."""
    return {
        partition: [
            (window.number, window.later, window.events.to_pylist(), window.answers.to_pylist())
            for window in evidence.windows(partition)
        ]
        for partition in evidence.partitions
    }


def below(work: Path) -> dict[str, bytes]:
    """What a work folder holds, but for what depends on the clock."""
    found = {str(path.relative_to(work)): path.read_bytes() for path in work.rglob("*") if path.is_file()}
    return {
        name: json.dumps(json.loads(content) | {"run": None}).encode()
        if name.endswith(MANIFEST_FILE)
        else content
        for name, content in found.items()
    }


def inodes(work: Path) -> dict[str, int]:
    """What tells a file from another of the same name and content."""
    return {str(path): path.stat().st_ino for path in work.rglob("*") if path.is_file()}


def test_topics_are_exported_and_read_once(tmp_path: Path, topics: dict[str, int]) -> None:
    first = judged(gathered(prove_settings(tmp_path / "work")))
    assert [len(window[3]) for window in first[0]] == [5]
    before, made = below(tmp_path / "work"), inodes(tmp_path / "work")
    again = judged(gathered(prove_settings(tmp_path / "work", "--resume")))
    assert (again, below(tmp_path / "work"), inodes(tmp_path / "work")) == (first, before, made)
    assert set(topics.values()) == {1}


def test_a_killed_proof_goes_on_where_it_was(
    tmp_path: Path, topics: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed at each step by which something reaches the disk."""
    expected = judged(gathered(prove_settings(tmp_path / "whole")))
    files = below(tmp_path / "whole")
    number = 0
    while True:
        number += 1
        work = tmp_path / f"killed-{number}"
        with monkeypatch.context() as patch:
            reached = _killing(patch, number)
            with suppress(_Killed):
                gathered(prove_settings(work))
            if not reached():
                break
        found = judged(gathered(prove_settings(work, "--resume")))
        assert found == expected, f"killed at step {number}"
        assert below(work) == files, f"killed at step {number}"
    assert number > 30
    assert len(topics) == 6


def _killing(patch: pytest.MonkeyPatch, number: int) -> Callable[[], bool]:
    """Kills at the step of a number, in the middle of it where it writes."""
    left = [number]

    def wrapped(name: str, step: Callable[..., None]) -> Callable[..., None]:
        def killed(*arguments: Any) -> None:
            left[0] -= 1
            if left[0]:
                step(*arguments)
                return
            if name == "write":
                step(arguments[0], memoryview(arguments[1])[: len(arguments[1]) // 2])
            patch.setattr(Path, "unlink", _dead)
            raise _Killed

        return killed

    for name in _STEPS:
        patch.setattr(durable, name, wrapped(name, getattr(durable, name)))
    return lambda: left[0] <= 0


def _dead(*_: object, **__: object) -> None:
    """What a killed process does not do any more: it leaves its unfinished files where they are."""
    raise OSError


def test_a_full_disk_is_a_sentence(
    tmp_path: Path, topics: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "sync", full)
    with pytest.raises(InputError, match=r"plan.json: cannot be written: No space left on device"):
        gathered(prove_settings(tmp_path / "work"))
    assert not topics


def test_a_proof_that_was_begun_is_gone_on_with_only_by_resume(
    tmp_path: Path, topics: dict[str, int]
) -> None:
    gathered(prove_settings(tmp_path / "work"))
    assert topics
    with pytest.raises(InputError, match="a proof was begun in this folder") as refused:
        gathered(prove_settings(tmp_path / "work"))
    assert "--resume" in str(refused.value)


@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_a_folder_of_something_else_is_refused(tmp_path: Path, resume: list[str]) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"the work folder is not empty: it holds thesis.txt"):
        gathered(prove_settings(tmp_path / "work", *resume))
    assert (tmp_path / "work" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("more", "name"), [(["--group", "other"], "--group"), (["--since", "1h"], "--since")]
)
def test_another_proof_is_not_gone_on_with(
    tmp_path: Path, topics: dict[str, int], more: list[str], name: str
) -> None:
    gathered(prove_settings(tmp_path / "work"))
    assert topics
    with pytest.raises(InputError, match=f"had another {name}"):
        gathered(prove_settings(tmp_path / "work", "--resume", *more))


def test_a_proof_of_a_snapshot_that_has_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    gathered(exports(tmp_path, events=[events(3)], predictions=[predictions(range(3))]))
    manifest = tmp_path / "predictions" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"rows": 3', '"rows":  3'))
    with pytest.raises(InputError, match="had another --predictions"):
        gathered(exports(tmp_path, "--resume"))


def test_settings_that_change_no_evidence_may_change(tmp_path: Path, topics: dict[str, int]) -> None:
    first = judged(gathered(prove_settings(tmp_path / "work")))
    more = ["--resume", "--sample", "0.5", "--model", "elsewhere", "--json"]
    assert judged(gathered(prove_settings(tmp_path / "work", *more))) == first
    assert set(topics.values()) == {1}


def test_a_damaged_plan_is_a_sentence(tmp_path: Path, topics: dict[str, int]) -> None:
    gathered(prove_settings(tmp_path / "work"))
    assert topics
    (tmp_path / "work" / PLAN_FILE).write_text("{}")
    with pytest.raises(InputError, match=r"plan.json: cannot be read"):
        gathered(prove_settings(tmp_path / "work", "--resume"))


def test_two_proofs_in_one_folder_are_refused(tmp_path: Path, topics: dict[str, int]) -> None:
    LocalFolder(tmp_path / "work").create()
    with LocalFolder(tmp_path / "work").locked(), pytest.raises(InputError, match="another run is writing"):
        gathered(prove_settings(tmp_path / "work"))
    assert not topics


def test_a_work_folder_that_was_not_named_is_gone_at_the_end(topics: dict[str, int]) -> None:
    settings = prove_settings()
    with work_folder(settings) as work, Meter() as meter:
        assert judged(gather(settings, work, meter))
        assert (work / PLAN_FILE).exists()
    assert not work.exists()
    assert topics


def test_progress_goes_up_to_the_share_that_gathering_has(
    tmp_path: Path, topics: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[float | None] = []
    monkeypatch.setattr(Meter, "add", lambda _, __, ___, share: shares.append(share))
    settings = prove_settings(tmp_path / "work")
    with work_folder(settings) as work, Meter() as meter:
        gather(settings, work, meter, share=0.25)
    told = [share for share in shares if share is not None]
    assert told == sorted(told)
    assert 0.2 < told[-1] <= 0.25
    assert topics


def test_the_error_of_a_plan_leaves_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> Plan:
        raise ConfigurationError("no such topic")

    monkeypatch.setattr("batch.proof.gather.fix", refuse)
    with pytest.raises(ConfigurationError):
        gathered(prove_settings(tmp_path / "work"))
    assert [*(tmp_path / "work").iterdir()] == []
