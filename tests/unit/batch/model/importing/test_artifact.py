import bz2
import gzip
import io
import lzma
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from batch.model.importing.artifact import read_artifact
from batch.model.importing.command import main
from shared.errors import ModelError


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, planted: Path) -> None:
        self.planted = planted

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.write_text, (self.planted, "code ran")


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    return buffer.getvalue()


WRAPPINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zip": zipped,
}
NAMES = [
    "model.pkl",
    "model.joblib",
    "model.pt",
    "model.h5",
    "model.keras",
    "model.model",
    "model.ubj",
    "model",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_is_refused_under_any_name_and_its_code_never_runs(
    tmp_path: Path, name: str, protocol: int
) -> None:
    planted, source = tmp_path / "planted", tmp_path / name
    source.write_bytes(pickle.dumps(Hostile(planted), protocol))
    output = tmp_path / "output"
    with pytest.raises(ModelError) as refused:
        main([str(source), "--output", str(output)])
    assert refused.value.hint
    assert not planted.exists()
    assert not output.exists()
    # The plant is a real one: unpickling does run it.
    pickle.loads(source.read_bytes())  # noqa: S301 - our own
    assert planted.read_text() == "code ran"


@pytest.mark.parametrize("how", WRAPPINGS)
@pytest.mark.parametrize("name", ["model.pkl", "model.json", "model.txt"])
def test_a_wrapped_pickle_is_refused_whatever_it_is_called(tmp_path: Path, name: str, how: str) -> None:
    planted, source = tmp_path / "planted", tmp_path / name
    source.write_bytes(WRAPPINGS[how](pickle.dumps(Hostile(planted))))
    with pytest.raises(ModelError):
        read_artifact(source)
    assert not planted.exists()


@pytest.mark.parametrize(
    ("name", "content", "said", "way_out"),
    [
        ("model.pkl", b"\x80\x04.", "is a pickle", "import_sklearn(model"),
        ("model.joblib", b"", "is a pickle", "save_model('model.ubj')"),
        ("model.bin", b"\x80\x05.", "is a pickle", "save_model('model.txt')"),
        ("model.pt", b"PK\x03\x04", "PyTorch", "torch.onnx.export"),
        ("model.keras", b"PK\x03\x04", "Keras", "format='onnx'"),
        ("weights", b"\x89HDF\r\n\x1a\n", "Keras", "format='onnx'"),
        ("model.cbm", b"CBM1", "CatBoost", "format='onnx'"),
        ("model.skops", b"PK\x03\x04", "skops", "import_sklearn(model"),
        ("model.model", b"binf\x00\x00", "no UBJ", "save_model('model.ubj')"),
        ("model.model", b"\x00\x00\x00?\x04\x00", "no UBJ", "save_model('model.ubj')"),
        ("model.ubj", b"", "is empty", "save_model('model.ubj')"),
    ],
)
def test_what_is_not_imported_is_refused_with_the_way_out(
    tmp_path: Path, name: str, content: bytes, said: str, way_out: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelError) as refused:
        read_artifact(path)
    assert said in refused.value.message
    assert way_out in (refused.value.hint or "")


@pytest.mark.parametrize(
    ("name", "kind", "form"),
    [("cat.ubj", "xgboost", "UBJ"), ("cat.json", "xgboost", "JSON"), ("cat.txt", "lightgbm", "text")],
)
def test_a_file_is_recognised_by_its_content_not_by_its_name(
    boosters: Path, tmp_path: Path, name: str, kind: str, form: str
) -> None:
    renamed = tmp_path / "model.bin"
    renamed.write_bytes((boosters / name).read_bytes())
    artifact = read_artifact(renamed)
    assert (artifact.kind, artifact.form) == (kind, form)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        read_artifact(tmp_path / "absent.ubj")
