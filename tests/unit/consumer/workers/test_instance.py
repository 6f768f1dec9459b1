"""A name for this instance: no other's on this host, and refused with a sentence where none can be held."""

import errno
import os
from pathlib import Path

import pytest

from consumer.workers.instance import claim
from shared.errors import ConfigurationError


def test_each_takes_the_first_free_name(tmp_path: Path) -> None:
    with claim("g", "host", tmp_path) as first, claim("g", "host", tmp_path) as second:
        assert (first, second) == ("host-0", "host-1")
    with claim("g", "host", tmp_path) as again, claim("another", "host", tmp_path) as other:
        assert (again, other) == ("host-0", "host-0")


def test_a_link_that_somebody_put_there_is_passed_by(tmp_path: Path) -> None:
    with claim("g", "host", tmp_path):
        (file,) = tmp_path.iterdir()
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    with claim("g", "host", tmp_path) as name:
        assert name == "host-1"
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_of_another_user_is_passed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def denied(path: Path, flags: int, mode: int) -> int:
        if path.name.endswith("-0.lock"):
            os.close(opened(path, flags, mode))
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, flags, mode)

    monkeypatch.setattr("consumer.workers.instance.os.open", denied)
    with claim("g", "host", tmp_path) as name:
        assert name == "host-1"


def test_a_folder_that_holds_no_lock_file_is_said_with_the_way_out(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with (
        pytest.raises(ConfigurationError, match=f"no lock file can be made in {missing}: .*\n.*--instance"),
        claim("g", "host", missing),
    ):
        pass


def test_a_folder_that_may_not_be_written_to_is_said_likewise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_arguments: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("consumer.workers.instance.os.open", denied)
    with (
        pytest.raises(ConfigurationError, match=r"no lock file can be made in .*: Permission denied"),
        claim("g", "host", tmp_path),
    ):
        pass


def test_a_machine_without_any_temporary_folder_is_said_likewise(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr("consumer.workers.instance.tempfile.gettempdir", nowhere)
    with pytest.raises(ConfigurationError, match=r"No usable temporary.*\n.*--instance"), claim("g", "host"):
        pass
