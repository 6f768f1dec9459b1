"""The customers whose score changes most among those whose decision flips."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from batch.replaying.pairs import Pairs, taken
from batch.replaying.result import Affected
from shared.predictions import as_list


@dataclass(frozen=True, slots=True)
class _Entry:
    """A customer's most changed event, and its place in the order of all."""

    order: tuple[float, str, int]
    affected: Affected


class MostAffected:
    """Keeps one entry a customer, for at most so many customers.

    A customer who is dropped has so many others before it, and comes back with an event that changes more:
    so the order in which events come does not matter.

    Args:
        most: How many customers to keep.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: dict[str, _Entry] = {}

    def add(self, pairs: Pairs) -> None:
        """Looks at the flipped events of a piece of history."""
        flipped = np.flatnonzero(pairs.flipped)
        if not self._most or not len(flipped):
            return
        change = np.abs(pairs.after[flipped] - pairs.before[flipped])
        if len(self._entries) == self._most:
            least = -next(reversed(self._entries.values())).order[0]
            flipped, change = flipped[change >= least], change[change >= least]
        # Stable: of equal changes the first of a place comes first.
        order = np.argsort(-change, kind="stable")
        flipped, change = flipped[order], change[order]
        customers = list(map(str, as_list(taken(pairs.customers, flipped))))
        seen: set[str] = set()
        for place, customer in enumerate(customers):
            if len(seen) == self._most:
                break
            if customer not in seen:
                seen.add(customer)
                self._note(pairs, int(flipped[place]), float(change[place]), customer)
        self._entries = dict(sorted(self._entries.items(), key=_order)[: self._most])

    def found(self) -> list[Affected]:
        """The customers, most affected first; of equal changes in the order of positions."""
        return [entry.affected for _, entry in sorted(self._entries.items(), key=_order)]

    def _note(self, pairs: Pairs, index: int, change: float, customer: str) -> None:
        order = (-change, pairs.place, int(pairs.numbers[index]))
        known = self._entries.get(customer)
        if known is None or order < known.order:
            self._entries[customer] = _Entry(
                order,
                Affected(
                    customer=customer,
                    position=pairs.positions[index].as_py(),
                    before=float(pairs.before[index]),
                    after=float(pairs.after[index]),
                    decision=bool(pairs.raised[index]),
                ),
            )


def _order(item: tuple[str, _Entry]) -> Any:
    return item[1].order
