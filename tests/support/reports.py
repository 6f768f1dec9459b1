"""Reports as commands make them: a proof that holds, with an advice; one in which all is wrong; a replay."""

import hashlib
import math
import struct
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist

from batch.advice.result import Advice, CadenceResult
from batch.proof.classes import Found
from batch.proof.result import (
    Answer,
    Example,
    Explaining,
    FeatureParity,
    Histogram,
    ModelProved,
    PartitionLedger,
    Proof,
)
from batch.replaying.result import Affected, Flips, Replay
from batch.report.document import Environment, Report

#: What must never be HTML, wherever it stands.
HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>\"'&amp;{{ 7 * 7 }}"

_ENVIRONMENT = Environment(
    tandem="0.1.0",
    python="3.13.1",
    system="Linux 6.12.0 x86_64, AMD EPYC 7B13",
    cores=8,
    libraries={"numpy": "2.4.6", "pyarrow": "26.0.1", "msgspec": "0.22.0", "xgboost-cpu": "3.2.0"},
)
_SETTINGS = {
    "model": "models/churn, models/churn-linear",
    "input_topic": "customers",
    "output_topic": "predictions",
    "dead_letter_topic": "dead-letters",
    "group": "tandem",
    "bootstrap_servers": "broker-1:9092,broker-2:9092",
    "sasl_username": "proof",
    "sasl_password": "***",
    "sample": "1.0",
    "since": "None",
    "report": "proof",
}
_LATENCY_BOUNDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0]
_AGE_BOUNDS = [
    *(0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0),
    *(7200.0, 14400.0, 28800.0, 43200.0, 64800.0, 86400.0, 172800.0, 604800.0),
]
_CHURN, _LINEAR = "churn@2", "churn-linear@1"


def holding(partitions: int = 6, *, advised: bool = True) -> Report:
    """A report of a million events that holds: two models, some bad events, and an advice."""
    counts = {Found.IDENTICAL: 989_947, Found.REJECTED_ALIKE: 10_053}
    proof = Proof(
        topics={"events": "customers", "predictions": "predictions", "dead-letters": "dead-letters"},
        certificate=hashlib.sha256(b"holding").hexdigest(),
        counts=_every(counts),
        ledger=[_ledger(number, share) for number, share in enumerate(_shares(counts, partitions))],
        matrix={
            "true": {"true": 268_402, "false": 0, "rejected": 0, "not scored": 0},
            "false": {"true": 0, "false": 721_545, "rejected": 0, "not scored": 0},
            "rejected": {"true": 0, "false": 0, "rejected": 10_053, "not scored": 0},
            "several": {"true": 0, "false": 0, "rejected": 0, "not scored": 0},
            "none": {"true": 0, "false": 0, "rejected": 0, "not scored": 0},
        },
        models=[
            ModelProved(id=_CHURN, sha256="e08bbcc1d1b3", predictions=612_330, known=True),
            ModelProved(id=_LINEAR, sha256="5b1f94c07a2e", predictions=377_617, known=True),
        ],
        latency=_lognormal(1_000_000, _LATENCY_BOUNDS, median=0.0124, sigma=0.62),
        stream_rate=148_200.0,
        batch_rate=412_900.0,
        notes=[],
    )
    return Report(
        made="2026-03-14T09:26:53+00:00",
        command=_SETTINGS,
        seconds=51.4,
        environment=_ENVIRONMENT,
        proof=proof,
        advice=advice() if advised else None,
    )


def failing(text: str = "Zürich", partitions: int = 24) -> Report:
    """A report of a proof in which every class occurs.

    Args:
        text: Stands wherever a user's text does.
        partitions: Of the input topic.
    """
    counts = {
        Found.MISSING: 3,
        Found.DUPLICATED: 2,
        Found.UNKNOWN_MODEL: 4_120,
        Found.OTHER_INPUT: 17,
        Found.REJECTED_ON_ONE: 5,
        Found.REJECTED_OTHERWISE: 1,
        Found.OTHER_DECISION: 41,
        Found.OTHER_BITS: 1_318,
        Found.MISPLACED: 2,
        Found.OUT_OF_ORDER: 2,
        Found.IDENTICAL: 890_209,
        Found.REJECTED_ALIKE: 9_004,
        Found.NOT_SAMPLED: 95_276,
    }
    proof = Proof(
        topics={"events": f"customers {text}", "predictions": "predictions", "dead-letters": "dead-letters"},
        rows="s3://warehouse/customers/2026-03-13.parquet",
        certificate=hashlib.sha256(b"failing").hexdigest(),
        counts=_every(counts),
        ledger=_broken([_ledger(number, share) for number, share in enumerate(_shares(counts, partitions))]),
        pending=1_204,
        matrix={
            "true": {"true": 240_112, "false": 23, "rejected": 2, "not scored": 27_004},
            "false": {"true": 18, "false": 651_432, "rejected": 3, "not scored": 72_392},
            "rejected": {"true": 0, "false": 0, "rejected": 9_009, "not scored": 0},
            "several": {"true": 1, "false": 1, "rejected": 0, "not scored": 0},
            "none": {"true": 1, "false": 2, "rejected": 0, "not scored": 0},
        },
        models=[
            ModelProved(id=_CHURN, sha256="e08bbcc1d1b3", predictions=986_000, known=True),
            ModelProved(id=f"churn-tuned@3 {text}", sha256="77d0b91f5ac4", predictions=4_120, known=False),
        ],
        latency=_lognormal(999_997, _LATENCY_BOUNDS, median=0.31, sigma=1.4),
        stream_rate=38_110.0,
        batch_rate=402_300.0,
        examples=_examples(text),
        explaining=_explaining(text),
        features=_features(text),
        notes=[
            "1,204 events were not committed by the group yet; they are not part of this proof.",
            "A sample of 90% was scored again; of the rest only the books were checked.",
        ],
    )
    return Report(
        made="2026-03-14T09:26:53+00:00",
        command={**_SETTINGS, "sample": "0.9", "rows": f"warehouse {text}"},
        seconds=3_725.0,
        environment=_ENVIRONMENT,
        proof=proof,
    )


def replayed(segments: int = 24, text: str = "month-to-month") -> Report:
    """A report of a replay of history by another model."""
    replay = Replay(
        source="customers (Kafka), 6 partitions",
        before=f"{_CHURN} e08bbcc1d1b3",
        after="churn@3 19c2f0aa7be1",
        events=250_000,
        compared=247_511,
        newly_rejected={"missing_field": 18, "out_of_range": 4},
        newly_scored=31,
        all=_flips("", "", 247_511, 0.021, 0.034, -0.0121),
        segments=[
            *(
                _flips("contract", name, events, raised, lowered, change)
                for name, events, raised, lowered, change in (
                    (text, 136_020, 0.034, 0.051, -0.0181),
                    ("one year", 60_482, 0.006, 0.019, -0.0067),
                    ("two years", 51_009, 0.001, 0.002, 0.0004),
                )
            ),
            *(
                _flips(
                    "tenure_months",
                    f"{3 * n} to {3 * n + 3}",
                    9_800 - 91 * n,
                    0.09 / (n + 2),
                    0.1 / (n + 3),
                    -0.02 / (n + 1),
                )
                for n in range(segments)
            ),
        ],
        affected=[
            Affected(
                customer=str(104_233 + 7_919 * n),
                position=f"customers/{n % 6}/{40_112 + 1_733 * n}",
                before=0.18 + 0.021 * n if n % 3 else 0.91 - 0.02 * n,
                after=0.88 - 0.02 * n if n % 3 else 0.22 + 0.017 * n,
                decision=bool(n % 3),
            )
            for n in range(10)
        ],
        notes=["Only events that are still on the topic could be replayed."],
    )
    return Report(
        made="2026-03-14T09:26:53+00:00",
        command={"model": "models/churn-3", "input_topic": "customers"},
        seconds=12.9,
        environment=_ENVIRONMENT,
        replay=replay,
    )


def advice() -> Advice:
    """An advice of four cadences, of which every minute is recommended."""
    uses = 989_947
    cadences = [
        _cadence("real time", 0.0, uses, (0.012, 0.62), stale=0, without=0, missed=0, cpu=412.0),
        _cadence("every minute", 60.0, uses, (31.0, 0.55), stale=1_384, without=402, missed=97, cpu=689.0),
        _cadence(
            "hourly", 3_600.0, uses, (1_870.0, 0.6), stale=21_330, without=9_120, missed=1_943, cpu=121.0
        ),
        _cadence(
            "nightly", 86_400.0, uses, (44_000.0, 0.6), stale=118_705, without=61_233, missed=8_702, cpu=97.0
        ),
    ]
    return Advice(
        source="customers (Kafka), 6 partitions",
        model=f"{_CHURN} e08bbcc1d1b3",
        events=uses,
        customers=48_210,
        seconds=7 * 86_400.0,
        tolerated=0.01,
        price=0.048,
        cadences=cadences,
        recommended="every minute",
        recommendation=(
            "Score every minute: 0.18% of uses had another decision than real time's, or none, for 689 CPU"
            " seconds a day against 86,400 that real time reserves, a price of 0.0092 against 1.2."
        ),
        reasons=[
            "In real time no use is stale, but a process is up all day: 1.15 a day.",
            "Scored hourly, 3.1% of uses are, and a changed decision stands for 38 minutes.",
            "Scored nightly, 18.2% are; 8,702 changes are over before the next run.",
        ],
        notes=["The costs are those of this machine, and leave out the broker's."],
    )


def ledgers_of(partitions: int) -> Report:
    """A proof of a topic of many partitions, of which one does not close."""
    report = holding(partitions, advised=False)
    assert report.proof is not None
    return report.model_copy(
        update={"proof": report.proof.model_copy(update={"ledger": _broken(report.proof.ledger)})}
    )


def _every(counts: dict[Found, int]) -> dict[Found, int]:
    return {found: counts.get(found, 0) for found in Found}


def _shares(counts: dict[Found, int], partitions: int) -> list[dict[Found, int]]:
    """Counts dealt out to partitions so that they add up."""
    shares = [
        {found: count // partitions + (number < count % partitions) for found, count in counts.items()}
        for number in range(partitions)
    ]
    return [{found: count for found, count in share.items() if count} for share in shares]


def _ledger(partition: int, counts: dict[Found, int]) -> PartitionLedger:
    events = sum(counts.values())
    letters = counts.get(Found.REJECTED_ALIKE, 0) + counts.get(Found.REJECTED_OTHERWISE, 0)
    answers = events - counts.get(Found.MISSING, 0) + counts.get(Found.DUPLICATED, 0)
    start = 1_000 * partition
    return PartitionLedger(
        partition=partition,
        start=start,
        end=start + events,
        events=events,
        counts=counts,
        predictions=answers - letters,
        letters=letters,
        replayed=12 if partition == 2 else 0,
        digest=hashlib.sha256(f"partition {partition}".encode()).hexdigest(),
    )


def _broken(ledger: list[PartitionLedger]) -> list[PartitionLedger]:
    """Books of which one more partition holds an answer to no event."""
    last = ledger[-1].model_copy(update={"of_no_event": 1})
    return [*ledger[:-1], last]


def _lognormal(total: int, bounds: Sequence[float], median: float, sigma: float) -> Histogram:
    curve = NormalDist(math.log(median), sigma)
    below = [round(total * curve.cdf(math.log(bound))) for bound in bounds]
    edges = [0, *below, total]
    return Histogram(
        unit="seconds",
        bounds=list(bounds),
        counts=[high - low for low, high in pairwise(edges)],
        p50=median,
        p99=math.exp(curve.inv_cdf(0.99)),
        largest=math.exp(curve.inv_cdf(1 - 0.5 / total)),
    )


def _bits(score: float) -> str:
    return struct.pack(">d", score).hex()


def _said(
    score: float, *, above: bool, at: str | None = None, model: str = f"{_CHURN} e08bbcc1d1b3"
) -> Answer:
    return Answer(score=score, bits=_bits(score), decision=above, model=model, position=at)


def _examples(text: str) -> list[Example]:
    event = (
        '{"customer_id":104233,"event_id":"e-88120","occurred_at":"2026-03-13T23:59:58Z","tenure_months":4,'
        f'"monthly_charges":70.35,"contract":"{text}","support_calls":3,"autopay":false}}'
    )
    score = 0.6000000000000001
    near = math.nextafter(score, 1)
    letter = Answer(reason="missing_field", model=f"{_CHURN} e08bbcc1d1b3", position="dead-letters/0/881")
    return [
        Example(
            found=Found.MISSING,
            position="customers/0/40112",
            event=event,
            stream=[],
            batch=_said(0.31244, above=False),
            detail="There is neither a prediction nor a dead letter.",
        ),
        Example(
            found=Found.DUPLICATED,
            position="customers/3/77",
            event=event,
            stream=[
                _said(score, above=True, at="predictions/3/76"),
                _said(score, above=True, at="predictions/3/91"),
            ],
            batch=_said(score, above=True),
            detail="Two predictions are of this event.",
        ),
        Example(
            found=Found.UNKNOWN_MODEL,
            position="customers/5/902211",
            event=event,
            stream=[_said(0.44, above=False, at="predictions/5/902180", model=f"churn-tuned@3 {text}")],
            batch=None,
            detail="Name the directory of churn-tuned@3 (77d0b91f5ac4) with --model.",
        ),
        Example(
            found=Found.OTHER_INPUT,
            position="customers/1/5120",
            event=event,
            stream=[_said(0.7123, above=True, at="predictions/1/5101")],
            batch=_said(0.5988, above=False),
            field="contract",
            stream_value=text,
            batch_value="month-to-month",
            detail="The stream had another value of contract than the row has.",
        ),
        Example(
            found=Found.REJECTED_ON_ONE,
            position="customers/2/31",
            event='{"customer_id":7,"tenure_months":"4"}',
            stream=[letter],
            batch=_said(0.2, above=False),
            detail=f"The stream rejected it: missing_field {text}; the batch path scored it.",
        ),
        Example(
            found=Found.REJECTED_OTHERWISE,
            position="customers/2/88",
            event="{",
            stream=[letter],
            batch=Answer(reason="not_json", model=f"{_CHURN} e08bbcc1d1b3"),
            detail="The reasons differ.",
        ),
        Example(
            found=Found.OTHER_DECISION,
            position="customers/4/1207",
            event=event,
            stream=[_said(score, above=True, at="predictions/4/1199")],
            batch=_said(0.6, above=False),
            field="churn",
            stream_value="true",
            batch_value="false",
            detail="The scores lie on both sides of the threshold 0.6.",
        ),
        Example(
            found=Found.OTHER_BITS,
            position="customers/4/1208",
            event=event + " " + "x" * 600,
            stream=[_said(score, above=True, at="predictions/4/1200")],
            batch=_said(near, above=True),
            field="score",
            stream_value=repr(score),
            batch_value=repr(near),
            detail="The scores are 1 unit in the last place apart.",
        ),
        Example(
            found=Found.OTHER_BITS,
            position="customers/4/2210",
            event=None,
            stream=[_said(0.123456789, above=False, at="predictions/4/2200")],
            batch=_said(0.12345679104328156, above=False),
            field="score",
            stream_value="0.123456789",
            batch_value="0.12345679104328156",
            detail="The batch path's score is the stream's, rounded to float32.",
        ),
        Example(
            found=Found.MISPLACED,
            position="customers/3/90",
            event=event,
            stream=[_said(score, above=True, at="predictions/1/77")],
            batch=_said(score, above=True),
            detail="the answer stands on partition 1, the event on 3",
        ),
        Example(
            found=Found.OUT_OF_ORDER,
            position="customers/0/612",
            event=event,
            stream=[_said(score, above=True, at="predictions/0/600")],
            batch=_said(score, above=True),
            detail="Its answer stands before that of customers/0/598, which has the same key.",
        ),
    ]


def _explaining(text: str) -> list[Explaining]:
    return [
        Explaining(found=Found.OTHER_BITS, feature="contract", value=text, share=0.982, share_of_all=0.081),
        Explaining(found=Found.OTHER_BITS, feature="partition", value="4", share=0.61, share_of_all=0.167),
        Explaining(
            found=Found.OTHER_DECISION,
            feature="monthly_charges",
            value="70 to 80",
            share=0.44,
            share_of_all=0.12,
        ),
        Explaining(found=Found.UNKNOWN_MODEL, feature="hour", value="23", share=1.0, share_of_all=0.0042),
    ]


def _features(text: str) -> list[FeatureParity]:
    return [
        FeatureParity(feature="contract", compared=900_000, mismatched=17, missing=0, extra=0),
        FeatureParity(feature="monthly_charges", compared=900_000, mismatched=11_204, missing=310, extra=12),
        FeatureParity(feature="tenure_months", compared=900_000, mismatched=0, missing=0, extra=0),
        FeatureParity(feature=f"region {text}", compared=900_000, mismatched=4, missing=88_120, extra=0),
    ]


def _flips(feature: str, segment: str, events: int, raised: float, lowered: float, change: float) -> Flips:
    return Flips(
        feature=feature,
        segment=segment,
        events=events,
        raised=round(events * raised),
        lowered=round(events * lowered),
        mean_change=change,
        beyond_chance=raised + lowered > 0.08,
    )


def _cadence(
    name: str,
    period: float,
    uses: int,
    age: tuple[float, float],
    *,
    stale: int,
    without: int,
    missed: int,
    cpu: float,
) -> CadenceResult:
    median, sigma = age
    return CadenceResult(
        name=name,
        period=period,
        uses=uses,
        age=_lognormal(uses - without, _AGE_BOUNDS, median, sigma),
        without=without,
        stale=stale,
        changed_customers=6_120,
        standing=_lognormal(stale, _AGE_BOUNDS, median * 1.2, sigma) if stale else None,
        missed=missed,
        runs=round(7 * 86_400 / period) if period else 0,
        cpu_seconds_per_million=2.9,
        cpu_seconds_per_day=cpu,
        reserved_seconds_per_day=0.0 if period else 86_400.0,
        price_per_day=(cpu if period else 86_400.0) / 3600 * 0.048,
        run_seconds=0.42 if period else 0.0,
    )
