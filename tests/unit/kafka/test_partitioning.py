"""Keys land where other producers' keys land."""

import pytest

from shared.kafka.partitioning import partition_for


@pytest.mark.parametrize(
    ("key", "murmur2"),
    # From the tests of Apache Kafka's own client (UtilsTest).
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_a_key_lands_where_the_java_client_puts_it(key: bytes, murmur2: int) -> None:
    assert partition_for(key, 7) == (murmur2 & 0x7FFFFFFF) % 7
    assert partition_for(key, 1) == 0
