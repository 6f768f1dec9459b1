"""Who scores the pieces of a run: threads where Arrow and numpy do the work, processes where Python does."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection, reduction
from multiprocessing.synchronize import Event as ProcessEvent
from multiprocessing.synchronize import Lock as ProcessLock
from typing import Any, Final

from batch.folder import Folder, LocalFolder, folder_at
from batch.job import Job, Piece
from batch.memory import processes_within
from batch.pieces import FinishedPart, PieceScorer, Progress, Report, StoppedError
from shared.errors import ExitCode, InputError
from shared.predict import Predictor

#: Below this many bytes of events for each worker, starting another process costs more than it brings.
_BYTES_WORTH_A_PROCESS: Final = 24 << 20

Pending = Sequence[tuple[Piece, FinishedPart | None]]


def score_pieces(  # noqa: PLR0913 - what a run consists of
    job: Job,
    predictor: Predictor,
    folder: Folder,
    pending: Pending,
    report: Report,
    workers: int,
    memory: int,
    room: int | None = None,
) -> None:
    """Scores all pieces; which worker has which changes no byte of the results.

    Args:
        job: The run.
        predictor: Its model, loaded.
        folder: Where the parts go.
        pending: The pieces, each with the last part of it that is finished already.
        report: Told of progress and of finished parts; called by several threads, one at a time for a piece.
        workers: How many pieces are scored at once.
        memory: What the run may take, in MiB.
        room: How many rows may be scored, the first ones; None: all of them.

    Raises:
        TandemError: A piece cannot be scored, or a worker was killed.
    """
    # The first rows are known only once those before them are.
    workers = min(workers, len(pending)) if room is None else 1
    processes = processes_within(memory, workers)
    if processes > 1 and isinstance(folder, LocalFolder) and _worth_processes(job, pending, processes):
        _by_processes(job, folder, pending, report, processes)
    else:
        _by_threads(job, predictor, folder, pending, report, workers, room)


def _worth_processes(job: Job, pending: Pending, workers: int) -> bool:
    """Whether reading events, which holds Python's lock, is most of the work."""
    if not all(source.resumable for source in job.sources):
        return False
    sizes = [
        segment.split.size
        for piece, _ in pending
        for segment in piece.segments
        if job.sources[segment.source].by_events
    ]
    return sum(sizes) >= workers * _BYTES_WORTH_A_PROCESS


def _by_threads(
    job: Job,
    predictor: Predictor,
    folder: Folder,
    pending: Pending,
    report: Report,
    workers: int,
    room: int | None,
) -> None:
    stop = threading.Event()
    scorer = PieceScorer(job, predictor, folder, stop.is_set, overlapped=workers <= 1, room=room)
    if workers <= 1:
        for piece, done in pending:
            scorer.score(piece, report, done)
        return
    with ThreadPoolExecutor(workers, "score") as pool, _stopping(stop.set):
        _wait([pool.submit(scorer.score, piece, report, done) for piece, done in pending])


def _by_processes(job: Job, folder: LocalFolder, pending: Pending, report: Report, workers: int) -> None:
    # A new interpreter for each: a fork would copy the locks of threads that it does not copy.
    context = multiprocessing.get_context("spawn")
    stop, lock = context.Event(), context.Lock()
    reader, writer = context.Pipe(duplex=False)
    setup = _Setup(job, _Descriptor(folder.lock), stop, lock, writer)
    heard: Future[None] = Future()
    listener = threading.Thread(target=_listen, args=(reader, report, stop, heard), daemon=True)
    listener.start()
    try:
        with ProcessPoolExecutor(workers, context, _begin_worker, (setup,)) as pool, _stopping(stop.set):
            futures = [pool.submit(_score_in_worker, piece, done) for piece, done in pending]
            # Every worker is started and has its own end: the pipe ends with the last of them.
            writer.close()
            _wait(futures)
    except StoppedError:
        # By the listener, which says why.
        heard.result()
        raise
    except BrokenProcessPool as error:
        raise InputError(
            "A worker was killed: most often by the kernel, for want of memory",
            hint="Give fewer --workers or less --memory, and go on with --resume.",
        ) from error
    finally:
        writer.close()
        # What the workers have reported is stored, however long the disk takes.
        listener.join()
        reader.close()
    heard.result()


@contextmanager
def _stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Tells the workers to stop at an error, before their pool waits for them."""
    try:
        yield
    except BaseException:
        stop()
        raise


def _wait(futures: Sequence[Future[None]]) -> None:
    try:
        for future in as_completed(futures):
            future.result()
    except BaseException:
        for future in futures:
            future.cancel()
        raise


def _listen(reader: Any, report: Report, stop: ProcessEvent, heard: "Future[None]") -> None:
    """Hands on what the workers report, until the last of them has ended.

    After an error it stops them, and goes on taking what they send: none may wait for ever to be heard.
    """
    failed: BaseException | None = None
    for message in _messages(reader):
        if failed is None:
            try:
                report(message)
            except BaseException as error:  # noqa: BLE001 - raised again where the workers are waited for
                failed = error
                stop.set()
    if failed is None:
        heard.set_result(None)
    else:
        heard.set_exception(failed)


def _messages(reader: Any) -> Iterator[FinishedPart | Progress]:
    while True:
        try:
            message = reader.recv()
        except (EOFError, OSError):
            return  # in the middle of a message, where a worker was killed
        yield message


class _Descriptor:
    """A file descriptor that a worker is given its own copy of when it is started."""

    def __init__(self, number: int | None) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _inherited, (None if self._number is None else reduction.DupFd(self._number),)


def _inherited(copy: Any) -> _Descriptor:
    return _Descriptor(None if copy is None else copy.detach())


@dataclass(frozen=True, slots=True)
class _Setup:
    """What a worker process is started with; the lock of the folder is held until it ends."""

    job: Job
    folder_lock: _Descriptor
    stop: ProcessEvent
    lock: ProcessLock
    writer: Any

    def send(self, message: FinishedPart | Progress) -> None:
        with self.lock:
            self.writer.send(message)


#: The worker's own scorer, made when its process starts.
_scorer: tuple[PieceScorer, _Setup] | None = None


def _begin_worker(setup: _Setup) -> None:
    global _scorer  # noqa: PLW0603 - a process pool gives its tasks no other place for what they share
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    predictor = Predictor.load(setup.job.model, explain=setup.job.explain)
    folder = folder_at(setup.job.output)
    _scorer = PieceScorer(setup.job, predictor, folder, setup.stop.is_set, overlapped=False), setup


def _score_in_worker(piece: Piece, done: FinishedPart | None) -> None:
    assert _scorer is not None  # noqa: S101 - the pool runs the initializer first
    scorer, setup = _scorer
    scorer.score(piece, setup.send, done)


def _end_with_parent() -> None:
    """Ends a worker whose parent was killed: another run may take over the folder."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(ExitCode.INTERRUPTED)
