"""The check at start finds a client that is not the one the fast path was written for."""

import inspect
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from kafka.protocol.frame import KafkaBytes

from shared.kafka import choice, decode, encode, fast, selfcheck


@pytest.fixture(autouse=True)
def _fresh_choice() -> Iterator[None]:
    choice._fast_path.cache_clear()
    yield
    choice._fast_path.cache_clear()


def test_the_installed_client_passes() -> None:
    assert selfcheck.self_check() is None
    assert choice.fast_path(public_calls=False) is fast


def test_public_calls_can_be_asked_for() -> None:
    assert choice.fast_path(public_calls=True) is None


def test_another_version_is_refused_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kafka.__version__", "3.1.0")
    assert selfcheck.self_check() == "it is written for kafka-python 3.0.x, and 3.1.0 is installed"


def test_a_missing_private_part_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("kafka.producer.sender.Sender._dispatch_error")
    assert "lacks Sender._dispatch_error" in (selfcheck.self_check() or "")


@pytest.mark.parametrize(
    ("part", "renamed"),
    [
        ("_coordinator", "self._coordinator ="),
        ("rejoin_needed", "self.rejoin_needed ="),
        ("_heartbeat_enabled", "self._heartbeat_enabled ="),
        ("_heartbeat_closed", "self._heartbeat_closed ="),
        ("state", "self.state = MemberState.STABLE"),
    ],
)
def test_a_coordinator_of_another_make_is_found(
    monkeypatch: pytest.MonkeyPatch, part: str, renamed: str
) -> None:
    """What `fast.is_fenced` reads is set by the instance: a class has none of it."""
    source = inspect.getsource

    def without(module: Any) -> str:
        return source(module).replace(f"self.{part} =", f"self.{part}_ =")

    monkeypatch.setattr(inspect, "getsource", without)
    assert renamed in (selfcheck.self_check() or "")


def test_a_codec_that_differs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def first_key_lost(*arguments: Any) -> encode.Encoded:
        keys, *rest = arguments
        return encode.encode_records([None, *keys[1:]], *rest)

    monkeypatch.setattr(selfcheck, "encode_records", first_key_lost)
    assert selfcheck.self_check() == "what it encodes, kafka-python reads differently"


@pytest.mark.parametrize("few_rows", [0, 1000], ids=["by column", "by row"])
def test_a_decoder_that_differs_is_found(monkeypatch: pytest.MonkeyPatch, few_rows: int) -> None:
    monkeypatch.setattr(decode, "_FEW_ROWS", few_rows)

    def one_late(batches: Sequence[decode.RawBatch]) -> decode.Decoded:
        decoded = decode.decode_records(batches)
        return decoded._replace(timestamps=[at + 1 for at in decoded.timestamps])

    assert selfcheck.self_check() is None
    monkeypatch.setattr(fast, "decode_records", one_late)
    assert selfcheck.self_check() == "what kafka-python encodes, it reads differently"


def test_an_unusable_fast_path_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> str:
        raise RuntimeError("everything moved")

    monkeypatch.setattr(selfcheck, "self_check", broken)
    with caplog.at_level(logging.WARNING):
        assert choice.fast_path(public_calls=False) is None
        assert choice.fast_path(public_calls=False) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "everything moved" in caplog.text


@pytest.mark.parametrize("sizes", [[None], [3, 0, 4, None], [100], [4, 4, 4]])
def test_fields_are_cut_from_an_answer_as_the_library_cuts_them(sizes: list[int | None]) -> None:
    ours, library = KafkaBytes(10), KafkaBytes(10)
    for answer in (ours, library):
        answer[:] = b"0123456789"
    assert [fast._read_field(ours, size) for size in sizes] == [library.read(size) for size in sizes]
    assert ours.tell() == library.tell()
