"""How much of the input is in hand at once, so that a run stays within the memory that it is given.

The figures were found with runs of 5 M rows of 9 columns of numbers (Linux, resident size): what the
interpreter and its libraries take, what a worker's open files take, and what a row takes on its way from a
file's columns to a prediction. Rows of long texts take more: reading bounds a batch by its bytes as well.
"""

from typing import Final

_MIB: Final = 1 << 20
#: The interpreter, Arrow, numpy and a model, in MiB: once for the run, and once more for a worker process.
_PROCESS: Final = 150
#: A worker's reader, and the group of rows that waits to be written, in MiB.
_WORKER: Final = 60
#: What a row in hand takes, in bytes: its prediction, and each of its columns in all its forms.
_ROW: Final = 200
_COLUMN: Final = 100
#: A single worker reads, scores and writes at once, and has batches waiting between these steps.
_BATCHES_OF_ONE: Final = 3
_LEAST_ROWS: Final = 1_024


def default_memory(workers: int) -> int:
    """The memory that a run may take unless it is told, in MiB."""
    return max(400, 200 * workers)


def threads_within(memory: int, workers: int) -> int:
    """How many threads may score at once.

    Args:
        memory: What the run may take, in MiB.
        workers: How many were asked for.
    """
    return max(1, min(workers, (memory - _PROCESS) // _WORKER))


def processes_within(memory: int, workers: int) -> int:
    """How many worker processes may score at once, beside the one that waits for them.

    Args:
        memory: What the run may take, in MiB.
        workers: How many were asked for.
    """
    return max(1, min(workers, memory // _PROCESS - 1))


def rows_at_once(memory: int, workers: int, columns: int, most: int) -> int:
    """How many rows each worker may have in hand.

    Args:
        memory: What the run may take, in MiB.
        workers: How many workers score at once.
        columns: How many columns are read of a row.
        most: The most rows, however much memory there is.
    """
    left = (memory - _PROCESS) / workers - _WORKER
    batches = _BATCHES_OF_ONE if workers == 1 else 1
    rows = int(left * _MIB) // batches // (_ROW + _COLUMN * columns)
    return min(most, max(_LEAST_ROWS, rows))
