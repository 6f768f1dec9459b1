"""What a reader notes without a broker."""

import threading

from shared.kafka.reader import Reader, _RebalanceFlag


class Late(threading.Event):
    """Set by another thread at the very moment after it was asked."""

    def is_set(self) -> bool:
        before = super().is_set()
        self.set()
        return before


def test_a_rebalance_noted_while_the_flag_is_looked_at_is_not_lost() -> None:
    reader = Reader.__new__(Reader)
    reader._listener = _RebalanceFlag()
    reader._listener.changed = Late()
    assert [reader.take_rebalanced(), reader.take_rebalanced()] == [False, True]
