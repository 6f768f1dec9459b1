"""Events meet their answers window by window, whatever the order; what is not whole is refused."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from batch.manifest import MANIFEST_FILE
from batch.proof.answers import LETTER, PREDICTION
from batch.proof.evidence import Evidence
from batch.proof.spill import Spill
from batch.proof.window import Window
from shared.errors import InputError
from tests.support.evidence import (
    LETTERS,
    PREDICTIONS,
    REPLAYS,
    TIME,
    events,
    exports,
    gathered,
    letters,
    prediction,
    predictions,
    records,
    replay_entry,
    write_snapshot,
)
from tests.support.letters import NOW


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of ten offsets."""
    monkeypatch.setattr("batch.proof.window.WINDOW_OFFSETS", 10)
    monkeypatch.setattr("batch.proof.spill.WINDOW_OFFSETS", 10)
    monkeypatch.setattr("batch.proof.evidence.WINDOW_OFFSETS", 10)


def told(window: Window) -> list[tuple[int, int, int]]:
    """Each answer's event, kind and place."""
    rows = window.answers.select(["offset", "kind", "at_offset"]).to_pylist()
    return [(row["offset"], row["kind"], row["at_offset"]) for row in rows]


def joined(evidence: Evidence, partition: int = 0) -> dict[int, tuple[list[int], list[tuple[int, int, int]]]]:
    """By window, the offsets of its events, and its answers."""
    return {
        window.number: (window.events.column("offset").to_pylist(), told(window))
        for window in evidence.windows(partition)
    }


def test_each_event_meets_its_answer(tmp_path: Path) -> None:
    rejected = [3, 17]
    scored = [offset for offset in range(25) if offset not in rejected]
    evidence = gathered(
        exports(tmp_path, events=[events(25)], predictions=[predictions(scored)], letters=[letters(rejected)])
    )
    found = joined(evidence)
    assert {number: window[0] for number, window in found.items()} == {
        0: [*range(10)],
        1: [*range(10, 20)],
        2: [*range(20, 25)],
    }
    answers = [answer for _, window in found.values() for answer in window]
    places = {offset: at for at, offset in enumerate(scored)}
    expected = [(offset, PREDICTION, places[offset]) for offset in scored]
    assert answers == sorted([*expected, (3, LETTER, 0), (17, LETTER, 1)])
    [first, *_] = evidence.windows(0)
    row = next(row for row in first.answers.to_pylist() if row["offset"] == 3)
    assert (row["reason"], row["model"], row["model_sha256"], row["value"]) == (
        "not_json",
        "threshold@1",
        None,
        b"junk",
    )
    row = first.answers.to_pylist()[0]
    assert (row["model"], row["model_sha256"], row["value"], row["timestamp"]) == (
        "threshold@1",
        "0123456789ab",
        prediction(0),
        TIME,
    )
    assert first.events.to_pylist()[2] == {
        "partition": 0,
        "offset": 2,
        "timestamp": first.events.column("timestamp")[2].as_py(),
        "key": b"2",
        "value": json.dumps({"customer_id": 2, "feature": 2 / 7}).encode(),
    }


@pytest.mark.parametrize("waiting", [1, 20_000, 1 << 30])
def test_answers_in_any_order_and_twice_meet_their_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waiting: int
) -> None:
    """However few of them may wait in memory; some stand on another partition."""
    monkeypatch.setattr(Spill.__init__, "__defaults__", (waiting,))
    order = [*range(95), *range(40, 50), 0]
    Random(7).shuffle(order)  # noqa: S311 - a shuffle that is the same each time
    pieces = [predictions(order[at : at + 30], start=at) for at in range(0, len(order), 30)]
    elsewhere = records(PREDICTIONS, [prediction(12), prediction(13)], partition=1)
    monkeypatch.setattr("batch.proof.recorded._BATCH_ROWS", 16)
    settings = exports(tmp_path, events=[events(95)], predictions=[*pieces, elsewhere])
    evidence = gathered(settings)
    found = joined(evidence)
    places: dict[int, list[int]] = {}
    for at, offset in enumerate(order):
        places.setdefault(offset, []).append(at)
    for offset, place in ((12, 0), (13, 1)):
        places[offset] = [*places[offset], place]
    for number, (offsets, answers) in found.items():
        assert offsets == [*range(10 * number, min(95, 10 * number + 10))]
        ours = sorted((offset, PREDICTION, at) for offset in offsets for at in places[offset])
        assert sorted(answers) == ours
        assert [offset for offset, _, _ in answers] == sorted(offset for offset, _, _ in answers)
    assert [*found] == [*range(10)]


def test_a_window_tells_where_predictions_of_later_windows_stand(tmp_path: Path) -> None:
    """Predictions on another partition do not count: there nothing is in turn."""
    order = [0, 25, 1, 2, 11, 41]
    at_1 = records(PREDICTIONS, [prediction(45)], partition=1)
    evidence = gathered(exports(tmp_path, events=[events(50)], predictions=[predictions(order), at_1]))
    assert [(window.number, window.later) for window in evidence.windows(0)] == [
        (0, 1),
        (1, 1),
        (2, 5),
        (3, 5),
        (4, None),
    ]


def test_answers_where_no_event_stands_have_a_window_too(tmp_path: Path) -> None:
    """The input topic may have gaps, as transactions leave them, or lack an event that was answered."""
    held = [events(3), events(2, start=95)]
    evidence = gathered(exports(tmp_path, events=held, predictions=[predictions([0, 2, 44, 95])]))
    found = joined(evidence)
    assert {
        number: (offsets, [one[0] for one in answers]) for number, (offsets, answers) in found.items()
    } == {
        0: ([0, 1, 2], [0, 2]),
        4: ([], [44]),
        9: ([95, 96], [95]),
    }


def test_answers_of_events_that_are_not_covered_are_only_counted(tmp_path: Path) -> None:
    """The events' partition begins at 12, say; and what came after the snapshot was answered, too."""
    write_snapshot(tmp_path / "events", "customers", [events(20, start=12)], {0: (12, 32)})
    evidence = gathered(
        exports(tmp_path, predictions=[predictions([*range(40)])], letters=[letters([3, 35])])
    )
    assert evidence.outside(0) == 12 + 8 + 2
    assert [offset for _, answers in joined(evidence).values() for offset, _, _ in answers] == [
        *range(12, 32)
    ]
    assert evidence.plan.notes == []
    behind, before = evidence.notes
    assert behind.startswith(
        "9 answers are of events behind the end of the events' snapshot (partition 0: 9)"
    )
    assert before.startswith(
        "13 answers are of events before the start of the events' snapshot (partition 0: 13)"
    )


def test_with_since_answers_of_earlier_events_are_as_expected(tmp_path: Path) -> None:
    since = datetime.fromtimestamp((TIME + 6) / 1000, UTC).isoformat()
    evidence = gathered(
        exports(tmp_path, "--since", since, events=[events(10)], predictions=[predictions(range(11))])
    )
    assert evidence.outside(0) == 6 + 1
    [told, behind] = evidence.notes
    assert "--since" in told or since[:10] in told
    assert behind.startswith("1 answer is of events behind the end of the events' snapshot (partition 0: 1)")


def test_a_replayed_letter_stands_for_nothing_any_more(tmp_path: Path) -> None:
    """Event 1 was scored by a replay; 2 was rejected again, and its newer letter counts; 3 waits."""
    held = [letters([1, 2, 3]), letters([2], start=3, attempt=2)]
    log = records(REPLAYS, [replay_entry(1), replay_entry(2, outcome="rejected")])
    evidence = gathered(
        exports(tmp_path, events=[events(4)], predictions=[predictions([0, 1])], letters=held, replays=[log])
    )
    [window] = evidence.windows(0)
    assert told(window) == [(0, PREDICTION, 0), (1, PREDICTION, 1), (2, LETTER, 3), (3, LETTER, 2)]
    assert window.answers.column("replayed").to_pylist() == [None, [NOW - 1], None, None]
    assert evidence.replayed(0) == 2


def test_a_second_letter_of_a_replayed_attempt_is_an_answer_too_many(tmp_path: Path) -> None:
    """Of each attempt at event 1, and of the first at event 2, whose replay was rejected."""
    held = [letters([1, 2, 1, 2]), letters([1, 2, 1], start=4, attempt=2)]
    log = records(REPLAYS, [replay_entry(1, attempt=2), replay_entry(2, outcome="rejected")])
    evidence = gathered(
        exports(tmp_path, events=[events(3)], predictions=[predictions([0, 1])], letters=held, replays=[log])
    )
    [window] = evidence.windows(0)
    assert told(window) == [
        (0, PREDICTION, 0),
        (1, PREDICTION, 1),
        (1, LETTER, 2),
        (1, LETTER, 6),
        (2, LETTER, 3),
        (2, LETTER, 5),
    ]
    assert evidence.replayed(0) == 3


def test_a_letter_on_another_partition_was_not_replayed(tmp_path: Path) -> None:
    held = letters([1])
    held.partition = 1
    log = records(REPLAYS, [replay_entry(1)])
    given = {"predictions": [predictions([0, 1])], "letters": [held], "replays": [log]}
    evidence = gathered(exports(tmp_path, events=[events(2), events(1, partition=1)], **given))
    [window] = evidence.windows(0)
    assert told(window) == [(0, PREDICTION, 0), (1, PREDICTION, 1), (1, LETTER, 0)]


def test_a_foreign_record_is_counted_and_named(tmp_path: Path) -> None:
    """The rest is read all the same."""
    strange: list[bytes | None] = [
        prediction(0),
        b"[1]",
        None,
        b'{"prediction_id": "customers/0/01", "model": "m@1", "model_sha256": "0"}',
        prediction(2, partition=7),
        prediction(1),
    ]
    others = records(PREDICTIONS, [prediction(9, topic="other")], start=10)
    evidence = gathered(
        exports(
            tmp_path,
            events=[events(3)],
            predictions=[records(PREDICTIONS, strange), others],
            letters=[records(LETTERS, [b"no letter"])],
        )
    )
    assert evidence.foreign == {PREDICTIONS: 4, LETTERS: 1}
    [first, second, third] = evidence.notes
    assert "4 records that Tandem has not written; the first: predictions/0/1 is no prediction" in first
    assert "the first: dead-letters/0/0 is no dead letter: the header" in second
    assert "also holds 1 answers for events of other topics" in third
    assert [offset for offset, _, _ in joined(evidence)[0][1]] == [0, 1]


def test_events_whose_answers_were_deleted_are_not_proved(tmp_path: Path) -> None:
    """A replay's prediction, which is of an older event, does not tell from where on all are left."""
    log = records(REPLAYS, [replay_entry(4), replay_entry(20)])
    kept = predictions([4, 20, 21, 22, 23, 24], start=39)
    write_snapshot(tmp_path / "predictions", PREDICTIONS, [kept], {0: (39, 45)})
    evidence = gathered(exports(tmp_path, events=[events(25)], replays=[log]))
    assert (evidence.range_of(0).start, evidence.range_of(0).end) == (21, 25)
    assert joined(evidence) == {2: ([21, 22, 23, 24], [(n, PREDICTION, n + 20) for n in range(21, 25)])}
    assert evidence.outside(0) == 2
    [note] = evidence.notes
    assert "records before offset 39 were deleted" in note
    assert "from offset 21 on" in note


def test_a_letter_of_a_replay_does_not_tell_from_where_on_all_letters_are_left(tmp_path: Path) -> None:
    """Event 3 was rejected again, long after event 12 was."""
    kept = letters([3], start=7, attempt=2)
    kept.extend(letters([14], start=8))
    write_snapshot(tmp_path / "dead-letters", LETTERS, [kept], {0: (7, 9)})
    scored = predictions([offset for offset in range(20) if offset not in (3, 12, 14)])
    log = records(REPLAYS, [replay_entry(3, outcome="rejected")])
    evidence = gathered(exports(tmp_path, events=[events(20)], predictions=[scored], replays=[log]))
    assert (evidence.range_of(0).start, evidence.range_of(0).end) == (14, 20)


def test_nothing_is_proved_where_no_answer_is_left(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "dead-letters", LETTERS, [], {0: (5, 5)})
    evidence = gathered(exports(tmp_path, events=[events(25)], predictions=[predictions(range(25))]))
    assert (evidence.range_of(0).start, evidence.outside(0), joined(evidence)) == (25, 25, {})
    assert len(evidence.notes) == 1


def truncate(folder: Path) -> None:
    """A file that was cut short."""
    file = folder / "part-00000.parquet"
    file.write_bytes(file.read_bytes()[:-100])


def flip(folder: Path) -> None:
    """A byte that has changed."""
    file = folder / "part-00000.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(bytes(content))


def lose(folder: Path) -> None:
    """A file that is gone."""
    (folder / "part-00001.parquet").unlink()


def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """A manifest that was edited."""

    def edit(folder: Path) -> None:
        path = folder / MANIFEST_FILE
        content = json.loads(path.read_bytes())
        change(content)
        path.write_text(json.dumps(content))

    return edit


def swap(folder: Path) -> None:
    """Files in another order, with the digests that they have."""

    def turn(content: dict[str, Any]) -> None:
        names = [part["file"] for part in content["parts"]][:2]
        content["parts"][0]["file"], content["parts"][1]["file"] = names[::-1]
        for part in content["parts"][:2]:
            file = folder / part["file"]
            part |= {
                "size": file.stat().st_size,
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            }

    changed(turn)(folder)


@pytest.mark.parametrize("role", ["events", "predictions"])
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncate, r"part-00000.parquet: the file is missing or has another length"),
        (flip, r"part-00000.parquet: its bytes are not those that the manifest lists"),
        (lose, r"part-00001.parquet: the file is missing"),
        (swap, r"part-00000.parquet: its offsets, from 0 on, are not those of partition 0 from 16 up to 24"),
        (changed(lambda content: content["parts"].pop()), r"hold 16 records of partition 0, .* tells of 24"),
        (
            changed(lambda said: [said["parts"][at].update(rows=rows) for at, rows in ((0, 9), (1, 7))]),
            r"part-00000.parquet: it holds 8 records, not 9",
        ),
        (changed(lambda content: content.update(rows=25)), r"the rows of its manifest do not add up"),
        (changed(lambda content: content["partitions"][0].update(end=20)), r"offsets, from 16 on"),
        (lambda folder: (folder / MANIFEST_FILE).unlink(), r"manifest.json"),
    ],
)  # fmt: skip
def test_a_snapshot_that_is_not_whole_is_refused(
    tmp_path: Path, role: str, damage: Callable[[Path], None], said: str
) -> None:
    made = {"events": events(24), "predictions": predictions(range(24))}
    write_snapshot(tmp_path / role, made[role].topic, [made[role]], part_rows=8)
    damage(tmp_path / role)
    settings = exports(tmp_path, **{name: [columns] for name, columns in made.items()})
    with pytest.raises(InputError, match=said):
        joined(gathered(settings))
