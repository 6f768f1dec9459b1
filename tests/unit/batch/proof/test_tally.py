"""Tallies go through JSON, and those of several partitions make one proof."""

from batch.proof.classes import Found
from batch.proof.models import Models
from batch.proof.tally import Facts, Tally, proof_of
from shared.predict import Predictor
from tests.support.proofs import TAKEN, TOPICS, Recorded, churn_messages, judged, proved, recorded


def test_a_tally_goes_through_json(honest: Recorded, models: Models) -> None:
    honest.answers.remove(honest.predictions()[4])
    tally = judged(honest, models)
    assert Tally.model_validate_json(tally.model_dump_json()) == tally
    assert tally.scored == 200
    assert tally.ledger.counts[Found.MISSING] == 1


def test_the_proof_of_two_partitions_adds_up(honest: Recorded, models: Models, churn: Predictor) -> None:
    other = recorded(churn_messages(70, seed=2, bad=0), [churn], partition=1)
    whole, parts = (
        proved(other, honest, models=models),
        [proved(one, models=models) for one in (honest, other)],
    )
    assert [ledger.partition for ledger in whole.ledger] == [0, 1]
    assert whole.ledger == [*parts[0].ledger, *parts[1].ledger]
    assert whole.counts == {found: sum(part.counts[found] for part in parts) for found in Found}
    assert whole.matrix == {
        said: {ours: sum(part.matrix[said][ours] for part in parts) for ours in row}
        for said, row in whole.matrix.items()
    }
    assert [one.predictions for one in whole.models] == [sum(part.models[0].predictions for part in parts)]
    assert whole.latency is not None
    assert sum(whole.latency.counts) == 270
    assert whole.latency.p99 == TAKEN / 1000
    assert whole.holds
    assert whole.batch_rate is not None


def test_one_broken_partition_breaks_the_proof(honest: Recorded, models: Models, churn: Predictor) -> None:
    other = recorded(churn_messages(70, seed=2, bad=0), [churn], partition=1)
    other.answers.pop()
    proof = proved(honest, other, models=models)
    assert not proof.holds
    assert [ledger.closes for ledger in proof.ledger] == [True, False]


def test_examples_of_all_partitions_are_no_more_than_asked_for(models: Models, churn: Predictor) -> None:
    parts = [recorded(churn_messages(20, seed=n, bad=0), [churn], partition=n) for n in range(3)]
    for part in parts:
        part.answers = part.answers[2:]
    tallies = [judged(part, models) for part in reversed(parts)]
    proof = proof_of(tallies, models, Facts(TOPICS, examples=3, pending=7, notes=["a note"]))
    assert [example.position for example in proof.examples] == [
        "customers/0/0",
        "customers/0/1",
        "customers/1/0",
    ]
    assert (proof.pending, proof.notes) == (7, ["a note"])
    assert proof.counts[Found.MISSING] == 6


def test_of_no_partition_nothing_is_proved(models: Models) -> None:
    proof = proof_of([], models, Facts(TOPICS))
    assert not proof.identical
    assert proof.latency is None is proof.stream_rate
    assert proof.matrix["true"]["true"] == 0
