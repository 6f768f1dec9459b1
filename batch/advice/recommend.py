"""Which cadence to take: the cheapest whose share of stale uses is tolerated. In words, with the figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from batch.advice.result import CadenceResult
from shared.wording import counted, digits, duration, percent, price

#: The name of the cadence that is none.
REAL_TIME: Final = "real time"
_PHRASES: Final = {REAL_TIME: "in real time", "hourly": "every hour", "nightly": "every night"}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A cadence of which the recording cannot tell.

    Attributes:
        name: Its name.
        why: The reason, as the end of a sentence.
        too_short: Whether it is that the recording holds too few of its runs.
    """

    name: str
    why: str
    too_short: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What a recommendation is made from.

    Attributes:
        cadences: Those of which the recording can tell; real time is the first.
        tolerated: The share of stale uses that the user accepts.
        seconds: From the first event to the last.
        events: Events of the customers that were looked at.
        customers: These customers.
        per_day: All events, a day.
        changes: Uses that are changes: there the customer's decision is another than before.
        measured: Whether real time's latency was.
        left_out: The cadences of which the recording cannot tell.
    """

    cadences: Sequence[CadenceResult]
    tolerated: float
    seconds: float
    events: int
    customers: int
    per_day: float
    changes: int
    measured: bool
    left_out: Sequence[LeftOut] = ()


def choose(facts: Facts) -> CadenceResult:
    """The cheapest cadence that is tolerated; of two that cost the same, the one with fewer stale uses."""
    tolerated = [cadence for cadence in facts.cadences if cadence.stale_share <= facts.tolerated]
    return min(tolerated, key=lambda cadence: (cadence.billed_seconds_per_day, cadence.stale_share))


def recommendation(facts: Facts) -> str:
    """The recommendation as one sentence, with the figures that decide."""
    best = choose(facts)
    batches = [cadence for cadence in facts.cadences if cadence.period]
    if best.period:
        return _for_batch(best, facts)
    if not batches:
        return _without_batches(facts)
    cost = f"{digits(best.billed_seconds_per_day)} core seconds a day"
    freshest = min(batches, key=lambda cadence: cadence.stale_share)
    if freshest.stale_share > facts.tolerated:
        return (
            f"Score in real time, for {cost}: the best that a batch does, {_phrase(freshest)}, leaves"
            f" {percent(freshest.stale_share)} of uses with another decision or none, and"
            f" {percent(facts.tolerated)} is tolerated."
        )
    enough = [cadence for cadence in batches if cadence.stale_share <= facts.tolerated]
    cheapest = min(enough, key=lambda cadence: cadence.billed_seconds_per_day)
    return (
        f"Score in real time: no batch that is tolerated costs less than its {cost}"
        f" ({cheapest.name} {digits(cheapest.billed_seconds_per_day)})."
    )


def reasons(facts: Facts) -> list[str]:
    """The figures behind it, a sentence each."""
    each = facts.events / facts.customers
    recorded = (
        f"{counted(facts.events, 'event')} of {counted(facts.customers, 'customer')}"
        f" in {duration(facts.seconds)}:"
        f" {digits(facts.per_day)} events a day, {digits(each)} of each customer."
    )
    found = [recorded, _of_changes(facts)]
    if facts.events == facts.customers:
        found.append(
            "Each customer came only once: a batch that scores what has come has no decision of any of them."
        )
    found += [_of_batch(cadence) for cadence in facts.cadences if cadence.period]
    found.append(_of_real_time(facts))
    return found + _if_known(facts)


def _phrase(cadence: CadenceResult) -> str:
    return _PHRASES.get(cadence.name, cadence.name)


def _for_batch(best: CadenceResult, facts: Facts) -> str:
    stream = facts.cadences[0]
    failing = [
        f"{cadence.name} {percent(cadence.stale_share)}"
        for cadence in facts.cadences
        if cadence.stale_share > facts.tolerated
        and cadence.billed_seconds_per_day <= best.billed_seconds_per_day
    ]
    beside = f" ({', '.join(failing)})" if failing else ""
    held = stream.reserved_seconds_per_day >= stream.cpu_seconds_per_day
    against = f"{digits(stream.billed_seconds_per_day)} that real time {'reserves' if held else 'takes'}"
    prices = ""
    if best.price_per_day is not None and stream.price_per_day is not None:
        prices = f", a price of {price(best.price_per_day)} against {price(stream.price_per_day)}"
    return (
        f"Score {_phrase(best)}: {percent(best.stale_share)} of uses had another decision than real time's,"
        f" or none{beside}, for {digits(best.billed_seconds_per_day)} CPU seconds a day against"
        f" {against}{prices}."
    )


def _without_batches(facts: Facts) -> str:
    begin = "Score in real time, for now:"
    others = [f"{left.name}, {left.why}" for left in facts.left_out if not left.too_short]
    if not others:
        return (
            f"{begin} a recording of {duration(facts.seconds)} is too short to tell what any batch would do."
        )
    return f"{begin} of no batch it can be told what it would do ({'; '.join(others)})."


def _of_changes(facts: Facts) -> str:
    changed = facts.cadences[0].changed_customers
    if not changed:
        return "No customer's decision changed: a decision once made was never stale."
    noun = "customer" if changed == 1 else "customers"
    share = percent(facts.changes / max(1, facts.cadences[0].uses))
    return (
        f"The decision of {changed:,} {noun} changed at least once ({percent(changed / facts.customers)}), at"
        f" {share} of all uses: of these no batch can know before."
    )


def _of_batch(cadence: CadenceResult) -> str:
    uses = cadence.uses
    shares = (
        f"another decision than the event's own was in force at {percent(cadence.stale / uses)} of"
        f" {uses:,} uses, and none at {percent(cadence.without / uses)}"
    )
    parts = [shares]
    if cadence.age is not None:
        parts.append(
            f"in use it was {duration(cadence.age.p50)} old at the median, {duration(cadence.age.p99)} at the"
            " 99th percentile"
        )
    if cadence.standing is not None:
        parts.append(
            f"a stale one stood for {duration(cadence.standing.p50)} at the median, up to"
            f" {duration(cadence.standing.largest)}"
        )
    if cadence.missed:
        noun = "change was" if cadence.missed == 1 else "changes were"
        parts.append(f"{cadence.missed:,} {noun} over before the next run")
    name = cadence.name[0].upper() + cadence.name[1:]
    return f"{name}: {'; '.join(parts)}."


def _if_known(facts: Facts) -> list[str]:
    """What would do if no customer were new to a batch, where that is something else."""
    best = choose(facts)
    enough = [
        cadence
        for cadence in facts.cadences
        if cadence.period and cadence.without and cadence.stale <= facts.tolerated * cadence.uses
    ]
    cheapest = min(enough, key=lambda cadence: cadence.billed_seconds_per_day, default=best)
    if best.period or cheapest.billed_seconds_per_day >= best.billed_seconds_per_day:
        return []
    return [
        (
            "Were nobody new to it, as where a batch scores a table of all customers, scoring"
            f" {_phrase(cheapest)} would do: another decision was in force at"
            f" {percent(cheapest.stale / cheapest.uses)} of uses."
        )
    ]


def _of_real_time(facts: Facts) -> str:
    stream = facts.cadences[0]
    late = (
        f"a decision came {duration(stream.age.p50)} after its event at the median,"
        f" {duration(stream.age.p99)} at the 99th percentile"
        if facts.measured and stream.age is not None
        else "each event has its own decision"
    )
    return (
        f"Real time: {late}; it uses {digits(stream.cpu_seconds_per_day)} CPU seconds a day of"
        f" {digits(stream.reserved_seconds_per_day)} that are held for it."
    )
