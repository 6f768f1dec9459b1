"""What can become of an event in a proof: each falls into exactly one class.

Where several would fit, the one that stands first in CLASSES is told: whoever mends the first finds the
others in the next proof.
"""

from enum import StrEnum
from typing import Final


class Found(StrEnum):
    """The class of an event, by the name that reports and JSON use."""

    MISSING = "missing"
    DUPLICATED = "duplicated"
    UNKNOWN_MODEL = "unknown_model"
    NO_ROW = "no_row"
    OTHER_INPUT = "other_input"
    REJECTED_ON_ONE = "rejected_on_one"
    REJECTED_OTHERWISE = "rejected_otherwise"
    OTHER_DECISION = "other_decision"
    OTHER_BITS = "other_bits"
    MISPLACED = "misplaced"
    OUT_OF_ORDER = "out_of_order"
    IDENTICAL = "identical"
    REJECTED_ALIKE = "rejected_alike"
    NOT_SAMPLED = "not_sampled"


#: Each class with what it means, in the order in which it is looked for.
CLASSES: Final[dict[Found, str]] = {
    Found.MISSING: "neither a prediction nor a dead letter",
    Found.DUPLICATED: "more than one answer, or row of its id",
    Found.UNKNOWN_MODEL: "scored by a model that is not at hand",
    Found.NO_ROW: "no row has its id",
    Found.OTHER_INPUT: "the answer was made from another input",
    Found.REJECTED_ON_ONE: "scored by one path, rejected by the other",
    Found.REJECTED_OTHERWISE: "rejected by both, for different reasons",
    Found.OTHER_DECISION: "another decision",
    Found.OTHER_BITS: "the same decision, other bits",
    Found.MISPLACED: "answered under another key, or on another partition",
    Found.OUT_OF_ORDER: "answered before an earlier event of its key",
    Found.IDENTICAL: "identical to the bit",
    Found.REJECTED_ALIKE: "rejected by both, for the same reason",
    Found.NOT_SAMPLED: "answered once; left out of --sample",
}
#: By its class, the number that stands for it in arrays.
CODES: Final = {found: code for code, found in enumerate(CLASSES)}
#: The classes in which both paths agree.
AGREEING: Final = (Found.IDENTICAL, Found.REJECTED_ALIKE)
#: The classes that say that an event was lost, or answered more than once, or elsewhere, or not in turn.
NOT_CONSERVED: Final = (Found.MISSING, Found.DUPLICATED, Found.MISPLACED, Found.OUT_OF_ORDER)
