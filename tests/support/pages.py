"""What the live page is told, made up: each look of a consumer that a test of the page needs.

The samples agree with themselves: ledgers balance, histograms hold the events of the last minute, times rise.
"""

from typing import Final, Literal, TypeAlias

from consumer.latest.events import Contributed, LatestEvents, LatestLetter, LatestPrediction
from consumer.operations.measures import EVENT_AGE
from consumer.web.state import (
    About,
    Commands,
    History,
    Latency,
    Ledger,
    ModelInUse,
    Partition,
    Proof,
    Second,
    Sentinel,
    Shadow,
    State,
    Swap,
    Worker,
)
from shared.schema import MEANINGS

#: calm: one worker, few events. busy: three workers, a lag, a swap. failing: a worker is down, the broker is
#: away, lags are not known. stale: as calm, but nothing moved for a minute. watched: with a shadow, a
#: sentinel and a proof. broken: likewise, and each of them found something. masked: no customers. figures: no
#: events. empty: just started.
Look: TypeAlias = Literal[
    "calm", "busy", "failing", "stale", "watched", "broken", "masked", "figures", "empty"
]

#: The moment of every sample: 2026-03-01 12:00:00 UTC.
NOW: Final = 1_772_366_400.0
_MODEL: Final = "churn@3"
_SHA: Final = "9f31c2a7d004"


def sample_state(look: Look = "calm", at: float = NOW) -> State:
    """A consumer's state.

    Args:
        look: Which one.
        at: Its moment, as Unix time.
    """
    watched = look in ("watched", "broken")
    return State(
        about=_about(look, at),
        at=at,
        ready=look not in ("failing", "empty"),
        rate={"empty": None, "stale": 0.0, "failing": 0.0, "busy": 141_382.4}.get(look, 998.6),
        second=_second(sample_history(look, at)),
        workers=_workers(look, at),
        partitions=_partitions(look),
        lag={"failing": None, "empty": None, "busy": 18_204}.get(look, 12),
        ledger=_ledger(look),
        latency=_latency(look),
        models=[] if look == "empty" else _models(watched=watched),
        swaps=_swaps(look, at),
        shadow=_shadow(look) if watched else None,
        sentinel=_sentinel(look) if watched else None,
        proof=_proof(look, at) if watched else None,
        latest=_latest(look, at),
    )


def sample_history(look: Look = "calm", at: float = NOW, seconds: int = 600) -> History:
    """A consumer's last minutes, up to a moment; of one that just started nothing."""
    if look == "empty":
        return History()
    level = 140_000 if look == "busy" else 1_000
    times = [at - seconds + 1 + second for second in range(seconds)]
    # Waves of 97 s; what stopped a minute ago has been at 0 since.
    quiet = look in ("stale", "failing")
    events = [
        0.0 if quiet and time > at - 60 else level * (0.9 + 0.2 * ((place % 97) / 97))
        for place, time in enumerate(times)
    ]
    known = [not (look == "failing" and time > at - 60) for time in times]
    p50: list[float | None] = [
        0.018 + 0.004 * (place % 7) / 7 if count else None for place, count in enumerate(events)
    ]
    p99: list[float | None] = [None if value is None else value * 3.1 for value in p50]
    return History(
        at=times,
        events=list(events),
        rejected=[round(count * 0.011, 1) for count in events],
        lag=[int(count / 80) if told else None for count, told in zip(events, known, strict=True)],
        p50=p50,
        p99=p99,
    )


def _second(history: History) -> Second | None:
    """The newest entry."""
    if not history.at:
        return None
    return Second.model_validate({name: column[-1] for name, column in history.model_dump().items()})


def _about(look: Look, at: float) -> About:
    return About(
        run="5f0c1d2e",
        started=at - (2 if look == "empty" else 8_100),
        version="0.8.0",
        group="tandem",
        input_topic="customers",
        output_topic="predictions",
        dead_letter_topic="dead-letters",
        shadow_topic="shadow-predictions" if look in ("watched", "broken") else None,
        guarantee="exactly-once",
        shows="figures" if look == "figures" else "events",
        masked=look == "masked",
        send_form=look == "calm",
        commands=Commands(
            send="python -m producer --lesson --topic lesson",
            prove="python -m batch prove --model FOLDER --report proof --group 'a team'",
            show_letter="python -m consumer dead-letters show --dead-letter-topic rejects",
        ),
        reasons={reason.value: meaning for reason, meaning in MEANINGS.items()},
    )


def _workers(look: Look, at: float) -> list[Worker]:
    def worker(number: int, partitions: int, **changes: object) -> Worker:
        said = Worker(
            number=number,
            pid=4_100 + number,
            ready=True,
            why=[],
            silent=0.4,
            started=at - 8_100,
            partitions=partitions,
        )
        return said.model_copy(update=changes)

    if look == "busy":
        return [worker(0, 2), worker(1, 2, started=at - 41), worker(2, 2)]
    if look == "failing":
        gone = "its process ended with exit code -9"
        away = "no broker has answered for 21 s"
        return [
            worker(0, 0, pid=None, ready=False, why=[gone], started=None),
            worker(1, 3, ready=False, why=[away], silent=7.0),
        ]
    if look == "empty":
        why = ["the group has not taken it in yet", "no broker has answered yet"]
        return [worker(0, 0, ready=False, why=why, started=at - 2)]
    return [worker(0, 6)]


def _partitions(look: Look) -> list[Partition]:
    if look == "empty":
        return []
    lags: list[int | None] = [2, 0, 5, 1, 0, 4]
    if look == "busy":
        lags = [3_034, 2_991, 3_100, 3_020, 2_998, 3_061]
    elif look == "failing":
        lags = [None, None, None]
    read = _ledger(look).read // len(lags)
    return [
        Partition(partition=number, position=1_000_000 + read + number, lag=lag, read=read)
        for number, lag in enumerate(lags)
    ]


def _ledger(look: Look) -> Ledger:
    if look == "empty":
        reasons: dict[str, int] = {}
        return Ledger(
            read=0, scored=0, rejected=0, reasons=reasons, balanced=True, undone=0, commits=0, aborts=0
        )
    read = 41_203_398 if look == "busy" else 604_806
    reasons = {"not_json": 4_021, "missing_field": 2_210, "out_of_range": 388, "unknown_category": 17}
    rejected = sum(reasons.values())
    return Ledger(
        read=read,
        scored=read - rejected,
        rejected=rejected,
        reasons=reasons,
        balanced=True,
        undone=0 if look == "calm" else 1_250,
        commits=24_881,
        aborts=0 if look == "calm" else 2,
    )


def _latency(look: Look) -> Latency:
    bounds = list(EVENT_AGE.bounds)
    counts = [0] * (len(bounds) + 1)
    if look in ("empty", "stale"):
        return Latency(
            seconds=0.0 if look == "empty" else 60.0, bounds=bounds, counts=counts, p50=None, p99=None
        )
    # 5 to 250 ms; busy, up to half a second.
    for bucket, count in {2: 811, 3: 8_420, 4: 31_022, 5: 17_550, 6: 1_880, 7: 233}.items():
        counts[bucket + (look == "busy")] = count
    slower = 2.2 if look == "busy" else 1.0
    return Latency(seconds=60.0, bounds=bounds, counts=counts, p50=0.0217 * slower, p99=0.0897 * slower)


def _models(*, watched: bool) -> list[ModelInUse]:
    champion = ModelInUse(role="champion", name="churn", version="3", kind="xgboost", sha256=_SHA)
    shadow = ModelInUse(role="shadow", name="churn-linear", version="1", kind="linear", sha256="02c4aa81be19")
    return [champion, shadow] if watched else [champion]


def _swaps(look: Look, at: float) -> list[Swap]:
    if look == "empty":
        return []
    old = "41d0c09b77e2" if look == "busy" else _SHA
    started = Swap(
        at=at - 8_099,
        role="champion",
        what="started",
        model="churn@2" if look == "busy" else _MODEL,
        sha256=old,
    )
    if look != "busy":
        return [started]
    return [
        Swap(at=at - 140, role=None, what="refused", model=None, sha256=None),
        Swap(at=at - 610, role="champion", what="swapped", model=_MODEL, sha256=_SHA),
        started,
    ]


def _shadow(look: Look) -> Shadow:
    broken = look == "broken"
    return Shadow(
        running=not broken,
        agreement=571_204 / 597_995,
        agreed=571_204,
        raised=14_801,
        lowered=11_990,
        rejected=175,
        accepted=0,
        failures=3 if broken else 0,
    )


def _sentinel(look: Look) -> Sentinel:
    found = {"bits": 3, "rejection": 1} if look == "broken" else {}
    return Sentinel(events=6_011, disagreements=found, left_out=12 if look == "broken" else 0)


def _proof(look: Look, at: float) -> Proof:
    holds = look != "broken"
    return Proof(
        at=at - 3_720,
        holds=holds,
        headline="Identical and conserved: 300,000 events, to the bit, on both paths."
        if holds
        else "Not proved: 2 missing, 1 duplicated, of 300,000 events.",
        events=300_000,
        counts={"identical": 300_000} if holds else {"identical": 299_997, "missing": 2, "duplicated": 1},
        certificate="6b1f0a33c5d99e10c2b7c4d1f5a89e7726dc0f9aa5cf5f5d4f1f8a4be2a14b07",
        report=True,
    )


def _latest(look: Look, at: float) -> LatestEvents | None:
    if look == "figures":
        return None
    if look == "empty":
        return LatestEvents(predictions=[], letters=[])
    masked = look == "masked"
    behind = 64_000 if look == "stale" else 200
    now = int(at * 1000) - behind
    return LatestEvents(
        predictions=[_prediction(place, now, masked=masked) for place in range(8)],
        letters=[_letter(place, now, masked=masked) for place in range(len(_LETTERS))],
    )


#: customer, score, and the inputs with their value and contribution.
_PREDICTIONS: Final = (
    (40_121, 0.9127, (("contract", "monthly", 1.3021), ("tenure", "2", 0.8114), ("charges", "99.65", 0.402))),
    (
        7_733,
        0.0418,
        (("tenure", "68", -1.9021), ("contract", "two-year", -1.441), ("charges", "24.1", -0.11)),
    ),
    (51_990, 0.5031, (("charges", "70.35", 0.3102), ("tenure", "14", -0.281), ("partner", "true", -0.15))),
    (12, 0.6644, (("contract", "monthly", 1.3021), ("partner", "missing", -0.2), ("tenure", "31", -0.195))),
)


def _prediction(place: int, now: int, *, masked: bool) -> LatestPrediction:
    customer, score, inputs = _PREDICTIONS[place % len(_PREDICTIONS)]
    return LatestPrediction(
        position=f"customers/{place % 6}/{1_100_801 - place}",
        customer=f"#{customer * 7919 % 0xFFFFFF:06x}" if masked else str(customer),
        event=None if masked or place % 2 else f"evt-{customer}-{place}",
        score=score,
        decision=score > 0.5,
        model=_MODEL,
        stamped=None if place == 7 else now - 40 * place - 22,
        committed=now - 40 * place,
        inputs=[Contributed(input=name, value=value, contribution=added) for name, value, added in inputs],
    )


#: reason, field, detail, what is said of it masked, and the event's bytes.
_LETTERS: Final = (
    (
        "not_json",
        None,
        "the event is not JSON: expected value at line 1 column 1",
        "the event is not JSON",
        b"\xff\xfe <b>not json</b>",
    ),
    (
        "missing_field",
        "tenure",
        "tenure is missing or null",
        "tenure is missing or null",
        b'{"customer_id":40121,"charges":70.35,"contract":"monthly"}',
    ),
    (
        "out_of_range",
        "charges",
        "charges is -4, which is not between 0 and 10000",
        "charges is out of its declared range",
        b'{"customer_id":7733,"charges":-4,"contract":"monthly","tenure":3}',
    ),
    (
        "tombstone",
        None,
        "the record has no value",
        "the record has no value",
        None,
    ),
)


def _letter(place: int, now: int, *, masked: bool) -> LatestLetter:
    reason, field, detail, said, value = _LETTERS[place]
    shown = None if value is None else value.decode(errors="backslashreplace")
    return LatestLetter(
        position=f"customers/{place % 6}/{1_100_401 - place}",
        reason=reason,
        field=field,
        detail=said if masked else detail,
        model=_MODEL,
        stamped=now - 900 * place - 31,
        committed=now - 900 * place,
        size=len(value or b""),
        key=None if masked or not place else "40121",
        value=None if masked else shown,
        cut=False,
    )
