"""Files of trained models, recognised by what they hold. Only three kinds are read; a pickle never is."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.errors import ModelError

SAVE_XGBOOST: Final = "model.save_model('model.ubj')"
SAVE_LIGHTGBM: Final = "booster.save_model('model.txt'), with booster = model.booster_ for LGBMClassifier"
SAVE_SKLEARN: Final = "import_sklearn(model, ...) of batch.model.importing.sklearn"
#: What to do instead of handing over a pickle.
WAY_OUT: Final = (
    "In the program that trained the model, save it in its library's own format.\n"
    f"  XGBoost: {SAVE_XGBOOST}\n"
    f"  LightGBM: {SAVE_LIGHTGBM}\n"
    f"  scikit-learn: {SAVE_SKLEARN}, which converts it to ONNX\n"
    "docs/models.md shows each."
)
_TORCH: Final = "Export it where it was trained: torch.onnx.export(model, example, 'model.onnx')."
_KERAS: Final = "Convert it where it was trained: model.export('model.onnx', format='onnx')."

_PICKLE: Final = (
    "is a pickle, which can run any code when it is loaded, and so it is never loaded",
    WAY_OUT,
)
_UNKNOWN_XGBOOST: Final = (
    "is no UBJ, JSON, LightGBM text or ONNX",
    f"An old binary model of XGBoost is saved anew: load it there, then {SAVE_XGBOOST}.",
)
#: By suffix, in lower case: what such a file is, and the way out.
_REFUSED_SUFFIXES: Final = {
    **dict.fromkeys((".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle"), _PICKLE),
    **dict.fromkeys((".pt", ".pth", ".ckpt"), ("is a PyTorch file, which is a pickle inside", _TORCH)),
    **dict.fromkeys((".h5", ".hdf5", ".keras"), ("is a Keras file, which is not read", _KERAS)),
    ".skops": ("is a skops file, which rebuilds Python objects, and is not read", WAY_OUT),
    ".cbm": (
        "is a CatBoost file, which is not read",
        "Save it as ONNX: model.save_model('model.onnx', format='onnx').",
    ),
}
#: By first bytes. A pickle of protocol 2 or later begins with 0x80 and the protocol's number.
_REFUSED_BEGINNINGS: Final[tuple[tuple[bytes, tuple[str, str]], ...]] = (
    *((bytes([0x80, protocol]), _PICKLE) for protocol in range(2, 9)),
    (b"\x89HDF\r\n\x1a\n", _REFUSED_SUFFIXES[".h5"]),
    (b"CBM1", _REFUSED_SUFFIXES[".cbm"]),
    (b"PK\x03\x04", ("is a zip archive, as PyTorch, Keras and skops write them", f"{_TORCH}\n{_KERAS}")),
    # What joblib writes when it compresses: gzip, zlib, bzip2, xz, lzma, lz4.
    *(
        (start, ("is compressed, as joblib compresses pickles", WAY_OUT))
        for start in (
            b"\x1f\x8b",
            b"\x78\x01",
            b"\x78\x5e",
            b"\x78\x9c",
            b"\x78\xda",
            b"BZh",
            b"\xfd7zXZ",
            b"\x5d\x00\x00",
            b"\x04\x22\x4d\x18",
        )
    ),
    (b"binf", _UNKNOWN_XGBOOST),
)

_UBJ: Final = re.compile(rb"\{[iUIlL]")
_JSON: Final = re.compile(rb'\s*\{\s*"')
_LIGHTGBM: Final = re.compile(rb"\s*tree\r?\n")
# Field 1 of a protobuf message, the version of ONNX's format: a small number.
_ONNX: Final = re.compile(rb"\x08[\x01-\x1f]")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A trained model's file.

    Attributes:
        path: Where it was read.
        kind: The model kind that scores it: `xgboost`, `lightgbm` or `onnx`.
        form: What it is written in: `UBJ`, `JSON`, `text` or `ONNX`.
        file: The name that it gets in the model directory.
        content: Its bytes.
    """

    path: Path
    kind: str
    form: str
    file: str
    content: bytes


_FORMS: Final = (
    (_JSON, "xgboost", "JSON", "booster.json"),
    (_UBJ, "xgboost", "UBJ", "booster.ubj"),
    (_LIGHTGBM, "lightgbm", "text", "booster.txt"),
    (_ONNX, "onnx", "ONNX", "model.onnx"),
)


def read_artifact(path: Path) -> Artifact:
    """Reads a trained model's file, and says what it is by its content.

    Raises:
        ModelError: It cannot be read, or it is a pickle or anything else that is not imported; the hint
            says what to save instead.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        hint = "Give the file of a trained model, or an MLflow model folder."
        raise ModelError(f"{path}: cannot be read: {error.strerror}", hint=hint) from error
    refuse_by_content(path, content)
    for pattern, kind, form, file in _FORMS:
        if pattern.match(content):
            return Artifact(path, kind, form, file, content)
    what, way_out = _UNKNOWN_XGBOOST
    said = "is empty" if not content else what
    raise ModelError(f"{path}: the file {said}", hint=f"{way_out}\n{WAY_OUT}")


def refuse_by_content(path: Path, content: bytes) -> None:
    """Refuses what is known and not imported, by its suffix and by its first bytes.

    Raises:
        ModelError: With the way out.
    """
    refused = _REFUSED_SUFFIXES.get(path.suffix.lower())
    for start, reason in _REFUSED_BEGINNINGS:
        if content.startswith(start):
            refused = refused or reason
    if refused:
        what, way_out = refused
        raise ModelError(f"{path}: the file {what}", hint=way_out)
