"""The journal of a run: what is finished so far, so that `--resume` can go on from there.

One line an entry, each with a checksum: a line that was cut short by a crash is the last one, and counts for
nothing. The first entry says what the run is; a run that is another does not go on from it.
"""

import threading
import zlib
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from batch.folder import JOURNAL_FILE, Folder
from batch.pieces import FinishedPart
from shared.errors import InputError

_CHECKSUM_DIGITS: Final = 8
# Settings that a manifest tells of and that change no result; inputs and model are known by their content.
_NO_RESULT: Final = frozenset({"input", "model", "max_error_rate", "dry_run"})
_START_ANEW: Final = "Put back what was there, or score into a new folder."


class InputSeen(BaseModel):
    """An input as it was when a run began.

    Attributes:
        name: What its rows are known by.
        size: Its length in bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    size: int


class Begun(BaseModel):
    """What a run is: all on which its results depend.

    Attributes:
        tandem: The version of Tandem.
        model: `name@version` of the model.
        model_sha256: Its digest.
        settings: The settings on which results depend, as text.
        inputs: What is scored, in order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["begun"] = "begun"
    tandem: str
    model: str
    model_sha256: str
    settings: dict[str, str]
    inputs: list[InputSeen]

    def check_same(self, now: "Begun", address: str) -> None:
        """Refuses to go on with a run that is not the one that was begun.

        Args:
            now: What is to go on.
            address: The folder, for the message.

        Raises:
            InputError: Naming what has changed.
        """
        found = [*self._changed_settings(now), *self._changed_inputs(now)]
        if (self.model, self.model_sha256) != (now.model, now.model_sha256):
            found.insert(
                0,
                f"the model was {self.model} ({self.model_sha256[:12]}) and is {now.model}"
                f" ({now.model_sha256[:12]})",
            )
        if self.tandem != now.tandem:
            found.append(f"Tandem was {self.tandem} and is {now.tandem}")
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise InputError(f"{address}: cannot be resumed: {found[0]}{more}", hint=_START_ANEW)

    def _changed_settings(self, now: "Begun") -> list[str]:
        # Where other rows are read, what was asked for says most: another version of a table, say.
        silent = _NO_RESULT if self.inputs == now.inputs else _NO_RESULT - {"input"}
        return [
            f"--{name.replace('_', '-')} was {self.settings.get(name, 'not given')}"
            f" and is {now.settings.get(name, 'not given')}"
            for name in sorted({*self.settings, *now.settings} - silent)
            if self.settings.get(name) != now.settings.get(name)
        ]

    def _changed_inputs(self, now: "Begun") -> list[str]:
        if self.inputs == now.inputs:
            return []
        before = {seen.name: seen.size for seen in self.inputs}
        after = {seen.name: seen.size for seen in now.inputs}
        gone = [f"the input {name} is gone" for name in before if name not in after]
        new = [f"the input {name} is new" for name in after if name not in before]
        other = [
            f"the input {name} had {size:,} bytes and has {after[name]:,}"
            for name, size in before.items()
            if after.get(name, size) != size
        ]
        return [*gone, *new, *other] or ["the inputs come in another order"]


class Digested(BaseModel):
    """The digest of an input: parts of it count from here on.

    Attributes:
        input: Its entry in the manifest, but for its rows.
        source: Which source of the run it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["digested"] = "digested"
    source: int
    sha256: str


class _Finished(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["finished"] = "finished"
    part: FinishedPart


_Entry = Annotated[Begun | Digested | _Finished, Field(discriminator="kind")]
_ENTRY: Final[TypeAdapter[Begun | Digested | _Finished]] = TypeAdapter(_Entry)


@dataclass(slots=True)
class Done:
    """What a journal says.

    Attributes:
        begun: What the run is; None where there is no journal, or it ends before that.
        digests: The digest of each source that has one.
        parts: The finished parts of each piece, in order.
        whole: How many bytes of the journal are whole lines.
    """

    begun: Begun | None = None
    digests: dict[int, str] = field(default_factory=dict)
    parts: dict[int, list[FinishedPart]] = field(default_factory=dict)
    whole: int = 0


class Journal:
    """Writes a folder's journal; any thread may."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def add(self, entry: Begun | Digested | FinishedPart) -> None:
        """Adds an entry; it is stored when this returns.

        Raises:
            InputError: The journal cannot be written.
        """
        whole = _Finished(part=entry) if isinstance(entry, FinishedPart) else entry
        content = whole.model_dump_json(exclude_none=True).encode()
        with self._lock:
            self._folder.append(b"%08x %s" % (zlib.crc32(content), content))


def read_journal(folder: Folder) -> Done:
    """What a folder's journal says.

    Raises:
        InputError: It is damaged before its last line, or cannot be read.
    """
    done = Done()
    lines = folder.journal().splitlines(keepends=True)
    for number, line in enumerate(lines):
        content = line[_CHECKSUM_DIGITS + 1 : -1]
        if not line.endswith(b"\n") or line[:_CHECKSUM_DIGITS] != b"%08x" % zlib.crc32(content):
            if number == len(lines) - 1:
                break
            raise _damaged(folder, number)
        try:
            _take(done, _ENTRY.validate_json(content))
        except (ValidationError, ValueError) as error:
            raise _damaged(folder, number) from error
        done.whole += len(line)
    return done


def _take(done: Done, entry: Begun | Digested | _Finished) -> None:
    if isinstance(entry, Begun):
        done.begun = entry
    elif isinstance(entry, Digested):
        done.digests[entry.source] = entry.sha256
    else:
        parts = done.parts.setdefault(entry.part.piece, [])
        if entry.part.number > len(parts):
            raise ValueError("parts out of order")
        # A part that was made again: those after it were, or will be, made again too.
        parts[entry.part.number :] = [entry.part]


def _damaged(folder: Folder, number: int) -> InputError:
    return InputError(
        f"{folder.address}/{JOURNAL_FILE}: line {number + 1} is damaged, or written by another version",
        hint="Empty the folder, or name a new one, and score again.",
    )
