"""`python -m tests.benchmarks.compiled ...`: the real consumer with the compiled codec in place of its own.

Only to measure what one would give; the arguments are the consumer's.
"""

import ctypes
import hashlib
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from shared.kafka import decode, encode, fast, writer
from shared.kafka.decode import Decoded, RawBatch, decode_records
from shared.kafka.encode import BATCH_HEADER, MAX_ROWS, Encoded, encode_records

_SOURCE: Final = Path(__file__).with_name("codec.c")
_FOLDER: Final = Path(__file__).parents[2] / "build"


@cache
def _library() -> ctypes.PyDLL | None:
    """The library, built when it is not there; None where there is no C compiler or no header of Python's."""
    compiler = shutil.which("cc")
    headers = Path(sysconfig.get_path("include"))
    if compiler is None or not (headers / "Python.h").exists():
        return None
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:12]
    built = _FOLDER / f"codec-{sys.implementation.cache_tag}-{digest}.so"
    if not built.exists():
        _FOLDER.mkdir(exist_ok=True)
        options = ["-O3", "-shared", "-fPIC", f"-I{headers}", str(_SOURCE), "-o", str(built)]
        subprocess.run([compiler, *options], check=True)
    loaded = ctypes.PyDLL(str(built))
    loaded.decode.restype = loaded.encode.restype = ctypes.py_object
    loaded.decode.argtypes = [ctypes.py_object, *[ctypes.c_longlong] * 3]
    loaded.encode.argtypes = [ctypes.py_object, ctypes.py_object, ctypes.c_longlong]
    return loaded


class CompiledCodec(NamedTuple):
    """`decode_records` and `encode_records`, compiled."""

    decode: Callable[..., Decoded]
    encode: Callable[..., Encoded]


def compiled_codec() -> CompiledCodec | None:
    """The codec; None where it cannot be compiled."""
    loaded = _library()
    if loaded is None:
        return None

    def decode_compiled(batches: Sequence[RawBatch]) -> Decoded:
        decoded = Decoded([], [], [], [], {})
        for batch in batches:
            columns = loaded.decode(*batch[:4]) if batch.append_time is None else None
            if columns is None:
                decoded.extend(decode_records([batch]))
                continue
            offsets, timestamps, keys, values = columns
            decoded.extend(Decoded(offsets, timestamps, keys, values, {}))
        return decoded

    def encode_compiled(keys: Any, values: Any, headers: Any, timestamp: Any) -> Encoded:
        plain = headers is None and isinstance(timestamp, int) and 0 < len(values) <= MAX_ROWS
        if not plain or len(keys) != len(values):
            return encode_records(keys, values, headers, timestamp)
        buffer = loaded.encode(list(keys), list(values), BATCH_HEADER)
        if buffer is None:
            return encode_records(keys, values, headers, timestamp)
        return Encoded(buffer, len(values), timestamp, timestamp)

    return CompiledCodec(decode_compiled, encode_compiled)


def main(arguments: Sequence[str]) -> int:
    """Runs the consumer."""
    compiled = compiled_codec()
    if compiled is None:
        raise SystemExit("no C compiler, or no headers of Python's")
    for module in (decode, encode, fast, writer):
        for name, function in (("decode_records", compiled.decode), ("encode_records", compiled.encode)):
            if hasattr(module, name):
                setattr(module, name, function)
    # Imported last: what imports the codec's functions by name must find the compiled ones.
    from consumer.__main__ import main as consume  # noqa: PLC0415

    return consume(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
