"""The sides of `batch drift`: the sketches in a folder's manifest, or those of a stream's workers merged."""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batch.folder import Folder, LocalFolder, folder_at
from batch.manifest import MANIFEST_FILE, Predictions, has_manifest, read_manifest
from shared.errors import InputError
from shared.sketches.file import SketchFile, sketches_of
from shared.sketches.sketches import Sketches
from shared.stores.address import has_scheme, shown_address

_HINT: Final = (
    "Name an output folder of `python -m batch score` or `export --model`, or a file or folder that"
    " `python -m consumer --sketch` wrote."
)


@dataclass(frozen=True, slots=True)
class Side:
    """One side.

    Attributes:
        name: What it was called on the command line.
        model: By whose inputs it was read: `name@version`.
        model_sha256: The digest of that model.
        sketches: What is known of its rows.
    """

    name: str
    model: str
    model_sha256: str
    sketches: Sketches


def load_side(text: str) -> Side:
    """Reads a side.

    Args:
        text: A folder with a manifest, or a file, a folder or a glob pattern of a stream's sketches.

    Raises:
        InputError: There are no sketches, or they cannot be read.
    """
    if has_scheme(text):
        return _of_folder(shown_address(text), folder_at(text))
    path = Path(text)
    folder = path.parent if path.name == MANIFEST_FILE else path
    if has_manifest(folder):
        return _of_folder(text, LocalFolder(folder))
    try:
        files = _files(path)
    except OSError as error:
        raise InputError(f"{text}: cannot be read: {error.strerror or error}", hint=_HINT) from error
    if not files:
        raise InputError(f"{text}: there are no sketches", hint=_HINT)
    return _of_stream(text, [(file, SketchFile.read(file)) for file in files])


def _files(path: Path) -> list[Path]:
    """The files of sketches that a path or a pattern names."""
    if path.is_dir():
        # Those of each model have a folder of their own; one that is being written begins with a dot.
        return [file for file in path.rglob("*.json") if not file.name.startswith(".")]
    if path.exists():
        return [path]
    return [Path(name) for name in glob.glob(str(path), recursive=True)]  # noqa: PTH207 - the pattern may be absolute


def _of_folder(name: str, folder: Folder) -> Side:
    manifest = read_manifest(folder)
    if manifest.sketches is None or manifest.model is None:
        hint = (
            "Score it again: it was written before Tandem kept sketches."
            if isinstance(manifest, Predictions)
            else "Export it again with --model, by whose inputs the events are parsed."
        )
        raise InputError(f"{folder.file(MANIFEST_FILE)}: there are no sketches in it", hint=hint)
    sketches = sketches_of(str(folder.file(MANIFEST_FILE)), manifest.sketches)
    return Side(name, manifest.model.id, manifest.model.sha256, sketches)


def _of_stream(name: str, files: Sequence[tuple[Path, SketchFile]]) -> Side:
    models = sorted({f"{found.model} ({found.model_sha256[:12]})" for _, found in files})
    if len(models) > 1:
        raise InputError(
            f"{name}: these are sketches of several models: {', '.join(models)}",
            hint="What each model scored has a folder of its own in it: name one of them.",
        )
    # In the order of time, so that merging gives the same however the files were listed.
    ordered = sorted(files, key=lambda pair: (pair[1].since, str(pair[0])))
    (path, first), *others = ordered
    merged = sketches_of(str(path), first.sketches)
    for path, found in others:
        try:
            merged.merge(sketches_of(str(path), found.sketches))
        except ValueError as error:
            raise InputError(f"{path}: its sketches do not fit those of {ordered[0][0]}: {error}") from error
    return Side(name, first.model, first.model_sha256, merged)
