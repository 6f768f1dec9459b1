"""A model's files are replaced whole, and model.json reads as a person would have written it."""

import json
import stat
from pathlib import Path

import pytest

from batch.model.writing import declaration_text, replace_file
from shared.errors import InputError


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(b"before")
    path.chmod(0o640)
    replace_file(path, b"after")
    assert path.read_bytes() == b"after"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [file.name for file in tmp_path.iterdir()] == ["model.json"]


def test_a_link_still_leads_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_bytes(b"before")
    (tmp_path / "model.json").symlink_to("real.json")
    replace_file(tmp_path / "model.json", b"after")
    assert (tmp_path / "model.json").is_symlink()
    assert (tmp_path / "real.json").read_bytes() == b"after"


@pytest.mark.parametrize("step", ["os.fsync", "shutil.copymode", "pathlib.Path.replace"])
def test_when_a_step_fails_the_old_file_stands_and_nothing_is_left_over(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(b"before")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(step, fail)
    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        replace_file(path, b"after")
    assert path.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == ["model.json"]


def test_a_declaration_has_a_line_for_each_input_and_golden_row() -> None:
    content = {
        "name": "é",
        "inputs": [{"name": "a", "values": ["x", "y"]}, {"name": "b"}],
        "outputs": {"decision": "churn"},
        "golden": [],
    }
    text = declaration_text(content)
    assert json.loads(text) == content
    assert text == (
        '{\n  "name": "é",\n'
        '  "inputs": [\n    {"name": "a", "values": ["x", "y"]},\n    {"name": "b"}\n  ],\n'
        '  "outputs": {"decision": "churn"},\n  "golden": []\n}\n'
    )
