"""`python -m consumer status`: a running group's members, lag and ledger, seen from outside."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from pydantic import Field
from rich.console import Console
from rich.table import Table

from shared import logs
from shared.deadline import Deadline
from shared.errors import ConfigurationError, ExitCode
from shared.kafka.connection import KafkaSettings
from shared.kafka.errors import RecoverableError
from shared.kafka.groups import GroupLag, Member, OpenTransaction, PartitionLag
from shared.ledger import Totals
from shared.logs import LogSettings
from shared.settings import CommandSettings, load
from shared.visible import visible

PROGRAM: Final = "python -m consumer status"
# What the broker calls a group that has no members and no offsets.
_NO_GROUP: Final = "Dead"


class StatusSettings(LogSettings, KafkaSettings, CommandSettings):
    """Shows a group's members, how far it has come in each partition, and its ledger.

    The ledger counts from the group's first event: what was read is what was scored and what was rejected.
    The exit status is 0, or 1 when that does not hold; 2 when there is no such group or topic, 4 when no
    broker answers.

    Example:
      python -m consumer status --group tandem --input-topic customers
      python -m consumer status --watch 2
      python -m consumer status --json
    """

    group: str = Field("tandem", min_length=1, description="The consumer group.")
    input_topic: str = Field("customers", description="Where its events come from.")
    watch: float | None = Field(
        None,
        gt=0,
        description="Show it again every so many seconds, until Ctrl-C; as JSON one object a line.",
    )
    as_json: bool = Field(False, alias="json", description="Print JSON.")


@dataclass(frozen=True, slots=True)
class Status:
    """A group at one moment.

    Attributes:
        group: Its name.
        topic: What it reads.
        state: As the broker calls it, such as Stable or Empty.
        members: Its consumers.
        partitions: How far it has come.
        transactions: Those of its instances that are open; None when the broker does not tell.
    """

    group: str
    topic: str
    state: str
    members: Sequence[Member]
    partitions: Sequence[PartitionLag]
    transactions: Sequence[OpenTransaction] | None

    @property
    def lag(self) -> int:
        """Records that are not committed yet."""
        return sum(partition.lag for partition in self.partitions)

    @property
    def ledgers(self) -> dict[int, Totals]:
        """The ledger of each partition that has one."""
        found = {
            partition.partition: Totals.from_metadata(partition.committed.metadata)
            for partition in self.partitions
            if partition.committed is not None
        }
        return {partition: totals for partition, totals in found.items() if totals is not None}

    @property
    def balanced(self) -> bool:
        """Whether read = scored + rejected in every partition."""
        return all(map(_balanced, self.ledgers.values()))

    def owner(self, partition: int) -> Member | None:
        """Who reads a partition."""
        return next((member for member in self.members if partition in member.partitions), None)


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Raises:
        BrokerUnreachableError: No broker answered in time.
        ConfigurationError: There is no such group or topic, or this client may not look.
    """
    settings = load(StatusSettings, arguments, PROGRAM)
    logs.set_up(settings.log_format, settings.log_level)
    lag = GroupLag(settings, settings.group, settings.input_topic)
    try:
        status = _look(lag, settings)
        _print(status, settings)
        while settings.watch is not None:
            time.sleep(settings.watch)
            try:
                status = _look(lag, settings)
            except RecoverableError as error:
                # Whoever watches wants to see it come back.
                Console(stderr=True, highlight=False).print(visible(str(error)), markup=False)
                continue
            _print(status, settings)
    except KeyboardInterrupt:
        if settings.watch is None:
            raise
    finally:
        lag.close(Deadline.after(2))
    return ExitCode.DONE if status.balanced else ExitCode.ANSWER_IS_NO


def _look(lag: GroupLag, settings: StatusSettings) -> Status:
    state, members = lag.members()
    partitions = lag.partitions()
    if state == _NO_GROUP and not any(partition.committed for partition in partitions):
        raise ConfigurationError(
            f"there is no group {settings.group!r} at {settings.bootstrap_servers}",
            hint="Start a consumer with this --group, or correct it.",
        )
    return Status(settings.group, settings.input_topic, state, members, partitions, lag.open_transactions())


def _print(status: Status, settings: StatusSettings) -> None:
    if settings.as_json:
        print(json.dumps(_as_json(status), indent=None if settings.watch else 2), flush=True)
        return
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if settings.watch and console.is_terminal:
        console.clear()
    _show(status, console)


def _as_json(status: Status) -> dict[str, Any]:
    ledgers = status.ledgers
    return {
        "group": status.group,
        "topic": status.topic,
        "state": status.state,
        "lag": status.lag,
        "ledger": _summed(ledgers) | {"balanced": status.balanced},
        "members": [asdict(member) for member in status.members],
        "partitions": [
            {
                "partition": one.partition,
                "begin": one.begin,
                "end": one.end,
                "committed": None if one.committed is None else one.committed.offset,
                "lag": one.lag,
                "ledger": asdict(ledgers[one.partition]) if one.partition in ledgers else None,
            }
            for one in status.partitions
        ],
        "transactions": None
        if status.transactions is None
        else [asdict(transaction) for transaction in status.transactions],
    }


def _balanced(totals: Totals) -> bool:
    return totals.read == totals.scored + totals.rejected


def _summed(ledgers: dict[int, Totals]) -> dict[str, int]:
    return {
        name: sum(getattr(totals, name) for totals in ledgers.values())
        for name in ("read", "scored", "rejected")
    }


def _show(status: Status, console: Console) -> None:
    members = f"{len(status.members)} members" if len(status.members) != 1 else "one member"
    console.print(f"group {status.group} on {status.topic}: {status.state}, {members}, lag {status.lag:,}")
    console.print(_partitions_table(status))
    _show_ledger(status, console)
    idle = [member for member in status.members if not member.partitions]
    if idle:
        console.print(f"without a partition: {', '.join(visible(_name(member)) for member in idle)}")
    for open_one in status.transactions or ():
        since = "" if open_one.seconds is None else f" for {open_one.seconds:.1f} s"
        console.print(
            f"open transaction {visible(open_one.id)}: {open_one.state}{since};"
            f" the broker ends it after {open_one.timeout:g} s"
        )


def _show_ledger(status: Status, console: Console) -> None:
    ledgers = status.ledgers
    if not ledgers:
        console.print("ledger: none is committed with the offsets")
        return
    total = _summed(ledgers)
    verdict = "balances" if status.balanced else "DOES NOT BALANCE"
    console.print(
        f"ledger: {total['read']:,} read = {total['scored']:,} scored + {total['rejected']:,} rejected:"
        f" it {verdict}",
        style="green" if status.balanced else "bold red",
    )


def _partitions_table(status: Status) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("partition", "committed", "end", "lag", "read", "scored", "rejected"):
        table.add_column(name, justify="right")
    table.add_column("member")
    ledgers = status.ledgers
    for one in status.partitions:
        totals, owner = ledgers.get(one.partition), status.owner(one.partition)
        counts = [None] * 3 if totals is None else [totals.read, totals.scored, totals.rejected]
        committed = None if one.committed is None else one.committed.offset
        cells = [
            "-" if number is None else f"{number:,}" for number in (committed, one.end, one.lag, *counts)
        ]
        table.add_row(str(one.partition), *cells, "-" if owner is None else visible(_name(owner)))
    return table


def _name(member: Member) -> str:
    return f"{member.instance or member.id} at {member.host}"
