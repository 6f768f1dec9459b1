"""Counts and measured values of a report."""

from batch.report.figures import count, measure


def test_counts_have_separated_thousands() -> None:
    assert count(1_000_000) == "1,000,000"


def test_values_have_the_unit_of_their_histogram() -> None:
    assert (measure(0.5, "seconds"), measure(500, "ms"), measure(3, "events")) == (
        "500 ms",
        "500 ms",
        "3 events",
    )
