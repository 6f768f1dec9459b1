"""What a consumer measures: each metric's name, meaning and buckets. Base units: seconds, bytes."""

from typing import Final

from shared.metrics import Family

# From a commit of one event on an idle broker (some milliseconds) to the longest that a step may take.
_SECONDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
# An event may wait for an hour behind an outage, and for a day behind a weekend's backlog.
_AGES: Final = (*_SECONDS, 300.0, 1_800.0, 3_600.0, 21_600.0, 86_400.0)
# From the single event of an idle topic, past the 25,000 that a batch holds unless told otherwise.
_EVENTS: Final = (1.0, 10.0, 100.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 25_000.0, 50_000.0, 100_000.0)
# Scores that differ by rounding alone, up to those of the opposite opinion.
_DIFFERENCES: Final = (1e-9, 1e-6, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0)

READ: Final = Family(
    "tandem_events_read_total",
    "counter",
    "Events whose outcome is committed.",
    ("partition",),
)
SCORED: Final = Family(
    "tandem_events_scored_total",
    "counter",
    "Events with a committed prediction.",
    ("partition",),
)
REJECTED: Final = Family(
    "tandem_events_rejected_total", "counter", "Events with a committed dead letter.", ("reason",)
)
UNDONE: Final = Family(
    "tandem_events_undone_total",
    "counter",
    "Events that were scored but not committed, and come again.",
)
TRANSACTIONS: Final = Family(
    "tandem_transactions_total",
    "counter",
    "Batches that were committed, or undone (aborted) to be scored again.",
    ("outcome",),
)
BATCH_EVENTS: Final = Family(
    "tandem_batch_events", "histogram", "Events of a committed batch.", bounds=_EVENTS
)
BATCH_DURATION: Final = Family(
    "tandem_batch_duration_seconds", "histogram", "From a batch's poll to its commit.", bounds=_SECONDS
)
EVENT_AGE: Final = Family(
    "tandem_event_age_seconds",
    "histogram",
    "From the timestamp of an event's record to the commit of its outcome.",
    bounds=_AGES,
)
STEP_DURATION: Final = Family(
    "tandem_step_duration_seconds",
    "histogram",
    "How long the steps of the loop took; a poll of a quiet topic waits.",
    ("step",),
    _SECONDS,
)
POSITION: Final = Family(
    "tandem_partition_position",
    "gauge",
    "The next offset of an assigned partition; all before it is done.",
    ("partition",),
    merged="max",
)
LAG: Final = Family(
    "tandem_partition_lag",
    "gauge",
    "Offsets from the position of an assigned partition to its end; absent while not known.",
    ("partition",),
    merged="min",
)
ASSIGNED: Final = Family(
    "tandem_assigned_partitions", "gauge", "Partitions that this worker reads.", ("worker",)
)
BROKER_AGE: Final = Family(
    "tandem_broker_answer_age_seconds",
    "gauge",
    "Seconds since a broker last told this worker where its partitions end.",
    ("worker",),
)
READY: Final = Family(
    "tandem_ready", "gauge", "1 when this worker is ready, else 0.", ("worker",), merged="min"
)
MODEL: Final = Family(
    "tandem_model_info",
    "gauge",
    "Always 1; its labels name a model in use: the champion decides, the shadow only scores.",
    ("role", "name", "version", "kind", "sha256"),
    merged="max",
)
SWAPS: Final = Family(
    "tandem_model_swaps_total", "counter", "New models that were taken in or refused.", ("outcome",)
)
SHADOW_RUNNING: Final = Family(
    "tandem_shadow_running",
    "gauge",
    "1 while the shadow scores, 0 when it failed so often that it is switched off; absent without one.",
    ("worker",),
    merged="min",
)
SHADOW_DECISIONS: Final = Family(
    "tandem_shadow_decisions_total",
    "counter",
    "Events that champion and shadow both scored, by whether their decisions agree, or the shadow's is true"
    " (raised) or false (lowered) where the champion's is not.",
    ("outcome",),
)
SHADOW_REJECTED: Final = Family(
    "tandem_shadow_rejected_total",
    "counter",
    "Events that the champion scored and the shadow rejected.",
    ("reason",),
)
SHADOW_ACCEPTED: Final = Family(
    "tandem_shadow_accepted_total",
    "counter",
    "Events that the champion rejected and the shadow scored.",
)
SHADOW_FAILURES: Final = Family(
    "tandem_shadow_failures_total",
    "counter",
    "Batches for which the shadow failed, so that they have no shadow predictions.",
)
SHADOW_DIFFERENCE: Final = Family(
    "tandem_shadow_score_difference",
    "histogram",
    "Absolute difference of the shadow's score from the champion's.",
    bounds=_DIFFERENCES,
)
SENTINEL_EVENTS: Final = Family(
    "tandem_sentinel_events_total",
    "counter",
    "Events that the sentinel scored again by columns; absent without one.",
)
SENTINEL_DISAGREEMENTS: Final = Family(
    "tandem_sentinel_disagreements_total",
    "counter",
    "Events of which the stream and the columns say different things, by in what; zero is the only good"
    " number.",
    ("kind",),
)
SENTINEL_LEFT_OUT: Final = Family(
    "tandem_sentinel_left_out_total",
    "counter",
    "Events that were drawn for the sentinel and not scored again: it was busy, or it failed.",
    ("reason",),
)
SENTINEL_SPENT: Final = Family(
    "tandem_sentinel_cpu_seconds_total", "counter", "Processor time that the sentinel used."
)
STARTED: Final = Family(
    "tandem_process_start_time_seconds", "gauge", "When this worker started, as Unix time.", ("worker",)
)
CPU: Final = Family("tandem_process_cpu_seconds_total", "counter", "Processor time that the workers used.")
MEMORY: Final = Family(
    "tandem_process_resident_memory_bytes", "gauge", "Memory that this worker holds.", ("worker",)
)
BUILD: Final = Family(
    "tandem_build_info",
    "gauge",
    "Always 1; its labels name this version of Tandem and of Python.",
    ("version", "python"),
    merged="max",
)

FAMILIES: Final = (
    *(READ, SCORED, REJECTED, UNDONE, TRANSACTIONS),
    *(BATCH_EVENTS, BATCH_DURATION, EVENT_AGE, STEP_DURATION),
    *(POSITION, LAG, ASSIGNED, BROKER_AGE, READY),
    *(MODEL, SWAPS, SHADOW_RUNNING, SHADOW_DECISIONS, SHADOW_DIFFERENCE),
    *(SHADOW_REJECTED, SHADOW_ACCEPTED, SHADOW_FAILURES),
    *(SENTINEL_EVENTS, SENTINEL_DISAGREEMENTS, SENTINEL_LEFT_OUT, SENTINEL_SPENT),
    *(STARTED, CPU, MEMORY, BUILD),
)
