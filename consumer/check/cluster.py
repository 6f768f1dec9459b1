"""What of the cluster, its limits and this client's rights would stop the consumer."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from consumer.check.finding import Finding, must, must_for, ok, warn
from consumer.check.topics import duration, retention_ms
from consumer.settings import ConsumerSettings, Guarantee
from consumer.startup import limit_problems
from shared.deadline import Deadline
from shared.errors import FencedError, TandemError
from shared.kafka.cluster import Broker, Cluster
from shared.kafka.connection import addresses
from shared.kafka.reader import SESSION_TIMEOUT_MS
from shared.kafka.topics import BrokerLimits, TopicInfo
from shared.kafka.writer import Writer

# A commit that fences by the member's generation (KIP-447) came with it.
_LEAST_VERSION: Final = (2, 5)
_HERE: Final = ("localhost", "127.0.0.1", "::1")


def connection_findings(settings: ConsumerSettings, told_secrets: Sequence[str]) -> Iterator[Finding]:
    """Findings on how the broker is reached.

    Args:
        settings: Where the brokers are.
        told_secrets: Names of secrets that stand on the command line.
    """
    option = settings.kafka_option
    protocol = option.get("security_protocol", "PLAINTEXT")
    local = all(host in _HERE for host, _ in addresses(settings))
    if protocol.endswith("PLAINTEXT") and not local:
        yield warn(
            "encryption",
            f"security_protocol={protocol}: events and passwords cross the network for all to read",
            "Give --kafka-option security_protocol=SASL_SSL (or SSL) and the port with TLS.",
        )
    elif option.get("ssl_check_hostname", "true").lower() in ("false", "no", "off", "0"):
        yield warn(
            "encryption",
            "ssl_check_hostname=false: whoever has any trusted certificate can pose as the broker",
            "Leave ssl_check_hostname out, and name brokers as their certificates do.",
        )
    else:
        yield ok("encryption", protocol + (", on this machine" if protocol.endswith("PLAINTEXT") else ""))
    for name in told_secrets:
        yield warn(
            "secrets",
            f"{name} stands on the command line, where every user of this machine can read it",
            f"Give {name}=@FILE, or all options in TANDEM_KAFKA_OPTION.",
        )


def broker_findings(settings: ConsumerSettings, cluster: Cluster) -> Iterator[Finding]:
    """Findings on the brokers themselves."""
    brokers = cluster.brokers()
    if not brokers:
        yield ok("broker", f"answers at {settings.bootstrap_servers}; too old to name the others")
        return
    version = cluster.version(brokers[0])
    told = ".".join(map(str, version))
    if settings.guarantee is Guarantee.EXACTLY_ONCE and version < _LEAST_VERSION:
        yield must("broker", f"Apache Kafka {told}", "Exactly-once needs Kafka 2.5 or later.")
    else:
        count = f"{len(brokers)} brokers" if len(brokers) > 1 else "one broker"
        yield ok("broker", f"Apache Kafka {told}, {count}; this client is let in")
    for broker in brokers:
        if (reason := cluster.unreachable(broker)) is not None:
            yield must(
                f"broker {broker.id}",
                f"cannot be reached as {broker.host}:{broker.port}, its advertised listener: {reason}",
                "See that this machine reaches it by that name, or correct advertised.listeners.",
            )


def limit_findings(
    settings: ConsumerSettings, cluster: Cluster, source: TopicInfo | None
) -> Iterator[Finding]:
    """Findings on the brokers' settings, as the first broker tells them."""
    brokers: list[Broker] = cluster.brokers()
    configs = cluster.configs(brokers[0]) if brokers else None
    if configs is None:
        yield warn(
            "broker's settings",
            "cannot be read, so that its limits were not checked",
            "Allow DescribeConfigs on the cluster to this user, if only for this check.",
        )
        return
    yield _session(settings, configs)
    yield _offsets(configs, source)
    if settings.guarantee is Guarantee.EXACTLY_ONCE:
        yield from _transactions(settings, configs)


def _session(settings: ConsumerSettings, configs: Mapping[str, str]) -> Finding:
    wanted = int(settings.kafka_option.get("session_timeout_ms", SESSION_TIMEOUT_MS))
    least = int(configs.get("group.min.session.timeout.ms", 0))
    most = int(configs.get("group.max.session.timeout.ms", wanted))
    told = f"a silent member is missed after {duration(wanted)}"
    if least <= wanted <= most:
        return ok("session timeout", f"{told}; the broker allows {duration(least)} to {duration(most)}")
    return must(
        "session timeout",
        f"{told}, which the broker does not allow ({duration(least)} to {duration(most)})",
        f"Give --kafka-option session_timeout_ms={min(max(least, wanted), most)}.",
    )


def _offsets(configs: Mapping[str, str], source: TopicInfo | None) -> Finding:
    kept = 60_000 * int(configs.get("offsets.retention.minutes", 10_080))
    events = None if source is None or not source.configs else retention_ms(source)
    told = f"a group without members keeps its offsets for {duration(kept)}"
    if source is None or not source.configs or (events is not None and events <= kept):
        return ok("retention of offsets", told)
    longer = "for ever" if events is None else f"for {duration(events)}"
    return warn(
        "retention of offsets",
        f"{told}, but events are kept {longer}: after a longer pause all of them are scored again",
        "Raise offsets.retention.minutes of the brokers to what the input topic keeps.",
    )


def _transactions(settings: ConsumerSettings, configs: Mapping[str, str]) -> Iterator[Finding]:
    longest = configs.get("transaction.max.timeout.ms")
    limits = BrokerLimits(None if longest is None else int(longest) / 1000)
    problems = list(limit_problems(settings, limits))
    for problem in problems:
        yield must_for("transaction timeout", problem)
    if not problems and longest is not None:
        yield ok(
            "transaction timeout",
            f"{settings.transaction_timeout:g} s; the broker allows {duration(int(longest))}",
        )
    copies = int(configs.get("transaction.state.log.replication.factor", 3))
    in_sync = int(configs.get("transaction.state.log.min.isr", 2))
    told = f"{copies} replicas, min.isr={in_sync}"
    if copies < 3 or in_sync < 2:
        yield warn(
            "transaction log",
            f"{told}: a broker that dies may take the state of transactions with it",
            "In production set transaction.state.log.replication.factor=3 and .min.isr=2.",
        )
    else:
        yield ok("transaction log", told)


def group_finding(settings: ConsumerSettings, cluster: Cluster) -> Finding:
    """What this client may do with its group."""
    subject = f"rights on group {settings.group}"
    try:
        rights = cluster.group_rights(settings.group)
    except TandemError as error:
        return must(subject, error.message, f"Allow Read on group {settings.group} to this user.")
    if rights is not None and "READ" not in rights:
        return must(subject, "Read not allowed", f"Allow Read on group {settings.group} to this user.")
    return ok(subject, "read allowed" if rights is not None else "it is new; looking is allowed")


def transaction_finding(settings: ConsumerSettings) -> Finding:
    """Whether transactions can be started: tried under an id of the check's own, and nothing is written."""
    trial = f"{settings.group}/check"
    subject = f"transactional id {settings.group}/..."
    try:
        writer = Writer(
            settings, transactional_id=trial, transaction_timeout=min(1.0, settings.transaction_timeout)
        )
    except FencedError:
        return ok(subject, f"transactions can be started, as another check did just now ({trial})")
    except TandemError as error:
        return must(
            subject,
            error.message,
            f"Allow Write and Describe on the transactional ids that begin with {settings.group}/.",
        )
    writer.close(Deadline.after(5))
    return ok(subject, f"transactions can be started (tried as {trial})")
