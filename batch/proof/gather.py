"""The evidence of a proof, brought into its work folder: each step is done once, whatever is killed.

The folder holds `plan.json`, which is written first; of topics, for each partition, a snapshot in
`events/0`, `predictions/0`, `dead-letters/0` and `replays/0`; and what they say of the events in
`answers/predictions-0` and `answers/dead-letters-0`, see batch/proof/spill.py.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from batch.export import Wanted, write_snapshot
from batch.folder import LocalFolder
from batch.manifest import MANIFEST_FILE, settings_of
from batch.proof.answered import TELLING, books_of, narrowed
from batch.proof.evidence import Evidence
from batch.proof.exports import plan_of_exports
from batch.proof.fixing import fix
from batch.proof.plan import Plan, Role, exported, settings_of_plan
from batch.proof.recorded import Recorded, snapshot_in
from batch.proof.settings import ProveSettings
from shared.errors import InputError
from shared.kafka.to_end import Extent
from shared.progress import Meter

PLAN_FILE: Final = "plan.json"
_ANSWERS: Final = "answers"
_NEW: Final = "Name a new --work-folder"


@contextmanager
def work_folder(settings: ProveSettings) -> Iterator[Path]:
    """The folder of a proof, which no other proof may use for as long as the block runs.

    A folder that the user has not named is removed at the end.

    Raises:
        InputError: The folder is not empty, and not to be gone on in; or another proof has it.
    """
    if settings.work_folder is None:
        with tempfile.TemporaryDirectory(prefix="tandem-prove-") as made:
            yield Path(made)
        return
    folder = LocalFolder(settings.work_folder)
    _check_usable(folder, resume=settings.resume)
    folder.create()
    with folder.locked():
        _check_usable(folder, resume=settings.resume)
        folder.mend(0)
        yield folder.path


def _check_usable(folder: LocalFolder, *, resume: bool) -> None:
    # A run that was killed before it had a plan may have left that half written.
    names = [name for name in folder.names() if not name.startswith(f".{PLAN_FILE}")]
    if not names or (resume and PLAN_FILE in names):
        return
    if PLAN_FILE in names:
        raise InputError(
            f"{folder.address}: a proof was begun in this folder",
            hint=f"Go on with it by --resume. {_NEW} for another one.",
        )
    raise InputError(
        f"{folder.address}: the work folder is not empty: it holds {names[0]}", hint=f"{_NEW}, or empty it."
    )


def gather(settings: ProveSettings, work: Path, meter: Meter, share: float = 1.0) -> Evidence:
    """Brings all evidence into a work folder; what is there already stays.

    Args:
        settings: What is proved.
        work: The folder, from `work_folder`.
        meter: Is told of progress.
        share: How much of the whole proof this is, for the meter.

    Raises:
        TandemError: The brokers or the snapshots cannot be used, or the disk is full.
    """
    plan = _plan(settings, LocalFolder(work))
    progress = _Progress(meter, _steps(settings, plan), share)
    recorded = _recorded(settings, plan, work, progress)
    books = books_of(plan, recorded, work / _ANSWERS, progress.step)
    events = {one.partition: one for one in recorded[Role.EVENTS]}
    return Evidence(narrowed(plan, events, books), events, books)


def _plan(settings: ProveSettings, folder: LocalFolder) -> Plan:
    """The plan that was fixed before, or a new one, which is written before anything else is."""
    path = folder.path / PLAN_FILE
    if not path.exists():
        plan = plan_of_exports(settings) if settings.exported else fix(settings)
        with folder.new_file(PLAN_FILE) as file:
            file.write(plan.model_dump_json(indent=1).encode() + b"\n")
        return plan
    try:
        plan = Plan.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{path}: cannot be read: {error}", hint=f"{_NEW}.") from error
    now = settings_of_plan(settings)
    names = plan.settings.keys() | now.keys()
    if other := sorted(name for name in names if plan.settings.get(name) != now.get(name)):
        raise InputError(
            f"{folder.address}: the proof that was begun there had another {', '.join(other)}",
            hint=f"Give what it had then. {_NEW} for another proof.",
        )
    return plan


def _steps(settings: ProveSettings, plan: Plan) -> int:
    """The offsets that are to be exported, and those of answers that are to be read then."""
    answers = {role: sum(one.end - one.start for one in ranges) for role, ranges in plan.answers.items()}
    telling = sum(count for role, count in answers.items() if role in TELLING)
    if settings.exported:
        return telling
    return telling + sum(answers.values()) + sum(one.end - one.start for one in plan.events)


@dataclass(slots=True)
class _Progress:
    """Tells a meter of one step after the other.

    Attributes:
        meter: What is told.
        total: The size of all steps.
        share: What the meter is to show when all are done.
        done: The size of the steps that are done.
    """

    meter: Meter
    total: int
    share: float
    done: int = 0

    def step(self, size: int) -> Callable[[int, str, float], None]:
        """What a step of some size tells of its rows, their topic, and the share of it that is done."""
        before, self.done = self.done, self.done + size

        def tell(rows: int, what: str, done: float) -> None:
            self.meter.add(rows, what, self.share * (before + size * done) / max(1, self.total))

        return tell


def _recorded(
    settings: ProveSettings, plan: Plan, work: Path, progress: _Progress
) -> dict[Role, list[Recorded]]:
    """The snapshots, by role; those of topics are made now, where they are not there yet."""
    if settings.exported:
        manifests = {
            role: (folder, snapshot_in(folder, f"--{role}")) for role, folder in exported(settings).items()
        }
        return {
            role: [Recorded(folder, manifest, one.partition) for one in manifest.partitions]
            for role, (folder, manifest) in manifests.items()
        }
    extents = {Role.EVENTS: {one.partition: Extent(one.start, one.end) for one in plan.events}}
    for role, ranges in plan.answers.items():
        extents[role] = {one.partition: Extent(one.start, one.end) for one in ranges}
    return {
        role: [
            _exported(settings, plan.topics[role], partition, extent, work / role / str(partition), progress)
            for partition, extent in sorted(held.items())
        ]
        for role, held in extents.items()
    }


def _exported(
    settings: ProveSettings, topic: str, partition: int, extent: Extent, path: Path, progress: _Progress
) -> Recorded:
    tell = progress.step(extent.end - extent.start)
    if (path / MANIFEST_FILE).exists():
        return Recorded(path, snapshot_in(path, "--work-folder"), partition)
    told = settings_of(settings)
    wanted = Wanted(topic, {partition: extent})
    folder = LocalFolder(path)
    # What a run that was ended has left there is replaced: the same offsets give the same files.
    folder.create()
    return Recorded(path, write_snapshot(folder, wanted, settings, told, tell), partition)
