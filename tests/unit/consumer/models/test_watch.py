"""A watched model directory: what takes over, and what is refused while the old model goes on."""

import json
import logging
import os
import shutil
import threading
from pathlib import Path

import pytest

from consumer.models import watch as module
from consumer.models.candidate import LiveTrial, load_candidate
from consumer.models.watch import WatchedModel, look_at
from consumer.scoring import Serving
from shared.deadline import Deadline
from shared.models.directory import KINDS, Model
from shared.predict import Predictor
from tests.support.models import change_model, linear_model, threshold_model


class Told:
    """What a telemetry is told."""

    def __init__(self) -> None:
        self.models: list[tuple[str, str]] = []
        self.swaps: list[str] = []

    def model(self, model: Model, role: module.Role) -> None:
        self.models.append((model.id, role))

    def swap(self, outcome: str) -> None:
        self.swaps.append(outcome)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SETTLE_SECONDS", 0.01)


def watch(directory: Path, told: Told, every: float = 60) -> WatchedModel:
    return WatchedModel(directory, Predictor.load(directory), every, "champion", told)


def id_of(watched: WatchedModel) -> str:
    return watched.newest.predictor.model.id


def test_a_directory_that_does_not_change_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = watch(threshold_model(tmp_path / "model"), Told())
    monkeypatch.setattr(module, "load_candidate", None)
    before = watched.newest
    watched.look()
    assert watched.newest is before


def test_files_replaced_in_place_take_over(tmp_path: Path) -> None:
    told = Told()
    watched = watch(threshold_model(tmp_path / "model"), told)
    change_model(tmp_path / "model", version="2", threshold=0.4)
    watched.look()
    assert id_of(watched) == "threshold@2"
    assert watched.newest.predictor.model.threshold == 0.4
    assert (told.swaps, told.models) == (["swapped"], [("threshold@2", "champion")])


def test_a_link_that_is_switched_takes_over_and_back(tmp_path: Path) -> None:
    first, second = threshold_model(tmp_path / "1"), threshold_model(tmp_path / "2", version="2")
    link, next_link = tmp_path / "model", tmp_path / "next"
    link.symlink_to(first)
    told = Told()
    watched = watch(link, told)
    for target, expected in ((second, "threshold@2"), (first, "threshold@1")):
        next_link.symlink_to(target)
        next_link.rename(link)
        watched.look()
        assert id_of(watched) == expected
    assert told.swaps == ["swapped", "swapped"]


def test_a_directory_renamed_into_place_takes_over(tmp_path: Path) -> None:
    told = Told()
    watched = watch(threshold_model(tmp_path / "model"), told)
    (tmp_path / "model").rename(tmp_path / "gone")
    threshold_model(tmp_path / "new", version="2").rename(tmp_path / "model")
    watched.look()
    assert (id_of(watched), told.swaps) == ("threshold@2", ["swapped"])


def test_the_same_bytes_of_another_length_of_time_are_seen(tmp_path: Path) -> None:
    """A copy may keep the size and the time of what it replaces."""
    model = threshold_model(tmp_path / "model")
    before, file = look_at(model), model / "model.json"
    times = file.stat()
    file.write_bytes(file.read_bytes().replace(b'"1"', b'"2"'))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert file.stat().st_mtime_ns == times.st_mtime_ns
    assert look_at(model) != before


def test_what_changes_no_prediction_is_no_swap(tmp_path: Path) -> None:
    told = Told()
    watched = watch(threshold_model(tmp_path / "model"), told)
    before = watched.newest
    change_model(tmp_path / "model", description="the same")
    watched.look()
    assert watched.newest is before
    assert told.swaps == []


def test_a_wrong_hash_is_refused_once_with_its_sentence_and_mended_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told, model = Told(), linear_model(tmp_path / "model")
    watched = watch(model, told)
    artifact = (model / "coefficients.json").read_bytes()
    (model / "coefficients.json").write_bytes(artifact + b" ")
    with caplog.at_level(logging.ERROR):
        watched.look()
        watched.look()
    [line] = caplog.messages
    assert "linear@2 goes on scoring" in line
    assert "has the sha256" in line
    assert "restore it, or declare it as a new version" in line
    assert told.swaps == ["refused"]
    linear_model(model, version="3", threshold=0.25)
    watched.look()
    assert (id_of(watched), told.swaps) == ("linear@3", ["refused", "swapped"])


def test_a_golden_row_that_does_not_get_its_score_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = Told()
    watched = watch(threshold_model(tmp_path / "model"), told)
    golden = [{"event": {"customer_id": 1, "feature": 0.25}, "score": 0.5}]
    change_model(tmp_path / "model", version="2", golden=golden)
    watched.look()
    assert (id_of(watched), told.swaps) == ("threshold@1", ["refused"])
    assert "golden row 0 scores 0.25" in caplog.text


def test_a_model_that_its_certificate_refuses_does_not_take_over(tmp_path: Path) -> None:
    told, model = Told(), linear_model(tmp_path / "model")
    watched = watch(model, told)
    linear_model(model, version="3")
    certificate = json.loads(Path("models/churn-linear/certificate.json").read_bytes())
    certificate |= {"verdict": "refused", "reason": "it does not hold"}
    certificate["model"]["sha256"] = Predictor.load(model).model.sha256
    (model / "certificate.json").write_text(json.dumps(certificate), encoding="utf-8")
    watched.look()
    assert (id_of(watched), told.swaps) == ("linear@2", ["refused"])


def test_a_directory_that_is_gone_for_good_is_refused_and_the_old_model_goes_on(tmp_path: Path) -> None:
    told = Told()
    watched = watch(threshold_model(tmp_path / "model"), told)
    shutil.rmtree(tmp_path / "model")
    watched.look()
    assert (id_of(watched), told.swaps) == ("threshold@1", ["refused"])


def test_a_copy_under_way_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, model = Told(), linear_model(tmp_path / "model")
    watched = watch(model, told)
    new = linear_model(tmp_path / "new", version="3", threshold=0.25)
    names = ["coefficients.json", "model.json"]
    real = module.look_at

    def looking(directory: Path) -> module.Look:
        found = real(directory)
        if names:
            shutil.copy(new / names[0], model / names.pop(0))
        return found

    monkeypatch.setattr(module, "look_at", looking)
    watched.look()  # the copy begins behind its back
    watched.look()
    assert (id_of(watched), told.swaps, names) == ("linear@3", ["swapped"], [])


def test_a_directory_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, model = Told(), threshold_model(tmp_path / "model")
    watched = watch(model, told)
    change_model(model, version="2")
    real = load_candidate

    def loading(directory: Path, current: Predictor, explain: int | None, live: LiveTrial | None) -> Serving:
        candidate = real(directory, current, explain, live)
        change_model(model, version="3", description="written meanwhile")
        return candidate

    monkeypatch.setattr(module, "load_candidate", loading)
    watched.look()
    assert (id_of(watched), told.swaps) == ("threshold@1", [])
    monkeypatch.setattr(module, "load_candidate", real)
    watched.look()
    assert (id_of(watched), told.swaps) == ("threshold@3", ["swapped"])


def test_a_model_changed_between_its_load_and_the_first_look_takes_over(tmp_path: Path) -> None:
    model = threshold_model(tmp_path / "model")
    predictor, told = Predictor.load(model), Told()
    change_model(model, version="2")
    watched = WatchedModel(model, predictor, 60, "champion", told)
    watched.look()
    assert (id_of(watched), told.swaps) == ("threshold@2", ["swapped"])


def test_whatever_a_library_raises_the_old_model_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told = Told()
    watched = watch(threshold_model(tmp_path / "model"), told)
    change_model(tmp_path / "model", version="2")

    def explode(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(KINDS["threshold"], "load", explode)
    watched.look()
    assert (id_of(watched), told.swaps) == ("threshold@1", ["refused"])
    assert "MemoryError: no room" in caplog.text


def test_the_watch_looks_by_itself_and_ends_with_its_block(tmp_path: Path) -> None:
    told = Told()
    watched = watch(threshold_model(tmp_path / "model"), told, every=0.01)
    with watched.watching():
        change_model(tmp_path / "model", version="2")
        deadline = Deadline.after(20)
        while id_of(watched) != "threshold@2":
            assert not deadline.passed
            deadline.pause(0.01)
    assert not any(thread.name.startswith("watch ") for thread in threading.enumerate())
