"""The task that every contender gets: the inputs with their rules, the linear model, what is to be written.

Imports no library, as a contender's own are all that its start-up is to hold.

A row is rejected for the first rule that it breaks: `missing_field`, `wrong_type` (text in a column of
numbers, where the format allows it), `not_finite`, `out_of_range`, `unknown_category`. All others are scored.
Predictions: `prediction_id` (the file's name, a slash, the row's number), `customer_id`, `score`, `churn`.
Rejected rows, apart: `position` (as a prediction_id) and `reason`. Both as Parquet, compressed with zstd.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Number:
    """An input that is a number.

    Attributes:
        name: Its column.
        low: The least that is allowed.
        high: The most that is allowed.
        weight: Of the linear model.
        whole: Whether the column holds integers.
    """

    name: str
    low: int
    high: int
    weight: float
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Category:
    """An input that is one of a few texts.

    Attributes:
        name: Its column.
        weights: Of the linear model, by value.
        one_hot: Whether the booster takes a column for each value; else it takes the value's place.
    """

    name: str
    weights: dict[str, float]
    one_hot: bool = False

    @property
    def values(self) -> tuple[str, ...]:
        """The values, in the order that gives them their places."""
        return tuple(self.weights)


KEY: Final = "customer_id"
INPUTS: Final[tuple[Number | Category, ...]] = (
    Number("tenure", 0, 1_200, -0.003, whole=True),
    Number("monthly_charges", 0, 1_000, 0.01),
    Number("total_charges", 0, 1_000_000, -0.0001),
    Number("support_calls", 0, 100, 0.03, whole=True),
    Number("logins_7d", 0, 10_000, -0.05, whole=True),
    Number("discount", 0, 1, -0.5),
    Category("contract", {"Month-to-month": 0.7, "One year": -0.2, "Two year": -0.9}, one_hot=True),
    Category("payment", {"card": -0.1, "bank transfer": -0.2, "electronic check": 0.4, "mailed check": 0.05}),
)
NUMBERS: Final = tuple(one for one in INPUTS if isinstance(one, Number))
CATEGORIES: Final = tuple(one for one in INPUTS if isinstance(one, Category))
NAMES: Final = (KEY, *(one.name for one in INPUTS))
INTERCEPT: Final = -0.5
THRESHOLD: Final = 0.6
TREES: Final = 200
DEPTH: Final = 6
LINEAR, XGBOOST = "linear", "xgboost"


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a contender.

    Attributes:
        model: LINEAR or XGBOOST.
        source: The file to score; its suffix tells its format.
        target: A new folder, which gets `predictions` and `rejected`: Parquet files or folders of them.
        booster: XGBoost's own file.
    """

    model: str
    source: Path
    target: Path
    booster: Path

    @property
    def form(self) -> str:
        """The format: parquet, csv or ndjson."""
        return self.source.suffix[1:]

    def output(self, name: str) -> str:
        """Where `predictions` or `rejected` go: a file in the target folder."""
        return str(self.target / f"{name}.parquet")
