"""Made-up events: the lesson's five customers, and churn customers from a seed, who may return.

The churn customers have the columns and categories of the public IBM Telco churn table, and a probability
of churning that is known exactly because it is computed from the customer: what a model should find out.
Only random.Random.random() is used, whose numbers Python keeps the same for a seed; its other methods may
change between versions.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

Event: TypeAlias = dict[str, str | int | float]

LESSON: Final = ((101, 0.2), (102, 0.8), (103, 0.5), (104, 0.9), (105, 0.7))

_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_IDS: Final = 10**4 * 26**5
# Prime to 2, 5 and 13, so that a customer's number times it meets every id before one comes twice.
_STRIDE: Final = 70_368_760_961

_Shares: TypeAlias = tuple[tuple[float, str], ...]

_YES_NO: Final = ("No", "Yes")
_ADD_ONS: Final = ("OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport")
_STREAMING: Final = ("StreamingTV", "StreamingMovies")

# By internet service: the shares of contracts and ways to pay, each as a running sum, and of paperless bills.
_TERMS: Final[dict[str, tuple[_Shares, _Shares, float]]] = {
    internet: (
        ((monthly, "Month-to-month"), (yearly, "One year"), (1.0, "Two year")),
        (
            (checks[0], "Electronic check"),
            (checks[1], "Mailed check"),
            (checks[2], "Bank transfer (automatic)"),
            (1.0, "Credit card (automatic)"),
        ),
        paperless,
    )
    for internet, monthly, yearly, checks, paperless in (
        ("DSL", 0.50, 0.74, (0.27, 0.52, 0.76), 0.52),
        ("Fiber optic", 0.69, 0.87, (0.51, 0.61, 0.81), 0.77),
        ("No", 0.34, 0.58, (0.08, 0.56, 0.78), 0.29),
    )
}

#: How likely it is that something has changed when a customer returns: a month has passed, and so on.
_MONTH: Final = 0.1
_NEW_CONTRACT: Final = 0.02
_OTHER_SERVICE: Final = 0.03
_OTHER_PAYMENT: Final = 0.01

#: Logit of churning = intercept + weight * number + weight of the category. Signs and rough sizes are those
#: that logistic regressions of the public IBM Telco table find: a long tenure, a long contract, security and
#: support hold customers; fibre, electronic checks, paperless bills and streaming go with leaving.
CHURN_INTERCEPT: Final = -1.8
CHURN_WEIGHTS: Final[dict[str, float | dict[str, float]]] = {
    "SeniorCitizen": 0.25,
    "Dependents": {"Yes": -0.2, "No": 0.0},
    "tenure": -0.04,
    "MultipleLines": {"Yes": 0.25, "No": 0.0, "No phone service": 0.15},
    "InternetService": {"DSL": 0.0, "Fiber optic": 0.9, "No": -0.8},
    "OnlineSecurity": {"Yes": -0.4, "No": 0.0, "No internet service": 0.0},
    "OnlineBackup": {"Yes": -0.15, "No": 0.0, "No internet service": 0.0},
    "TechSupport": {"Yes": -0.4, "No": 0.0, "No internet service": 0.0},
    "StreamingTV": {"Yes": 0.2, "No": 0.0, "No internet service": 0.0},
    "StreamingMovies": {"Yes": 0.2, "No": 0.0, "No internet service": 0.0},
    "Contract": {"Month-to-month": 0.7, "One year": 0.0, "Two year": -0.8},
    "PaperlessBilling": {"Yes": 0.35, "No": 0.0},
    "PaymentMethod": {
        "Electronic check": 0.4,
        "Mailed check": 0.0,
        "Bank transfer (automatic)": 0.0,
        "Credit card (automatic)": -0.1,
    },
    "MonthlyCharges": 0.004,
    "TotalCharges": 0.0002,
}


@dataclass(frozen=True, slots=True)
class Customer:
    """A made-up customer.

    Attributes:
        event: What is sent.
    """

    event: Event

    @property
    def churn_logit(self) -> float:
        """The logarithm of the odds that the customer churns; it is not a field of the event."""
        total = CHURN_INTERCEPT
        for name, weight in CHURN_WEIGHTS.items():
            value = self.event[name]
            total += weight[str(value)] if isinstance(weight, dict) else weight * float(value)
        return total


def lesson_events() -> Iterator[Event]:
    """The five customers of the lesson."""
    for customer_id, feature in LESSON:
        yield {"customer_id": customer_id, "feature": feature}


def churn_customers(seed: int) -> Iterator[Customer]:
    """Customers without end, each with another id; the same for a seed on every machine.

    Args:
        seed: Any integer. The event ids carry it, so that events of two seeds are told apart.
    """
    draw = random.Random(seed).random  # noqa: S311 - nothing here is a secret
    place = int(draw() * _IDS)
    for number in itertools.count():
        event = _customer(draw, _customer_id(place))
        event["event_id"] = f"s{seed}-{number}"
        yield Customer(event)
        place = (place + _STRIDE) % _IDS


def returning_customers(seed: int, count: int) -> Iterator[Customer]:
    """Events without end of customers who return: their fields change between two of their events.

    Some come more often than others. Months pass; contracts, services and ways to pay change now and then,
    and the charges follow. Each who has come is kept in memory, with about 2 KB.

    Args:
        seed: Any integer; the event ids carry it.
        count: How many customers there are, from 1.
    """
    draw = random.Random(seed).random  # noqa: S311 - nothing here is a secret
    place = int(draw() * _IDS)
    known: dict[int, Event] = {}
    for number in itertools.count():
        who = int(draw() * draw() * count)
        if who in known:
            _live_on(draw, known[who])
        else:
            known[who] = _customer(draw, _customer_id((place + who * _STRIDE) % _IDS))
        yield Customer({**known[who], "event_id": f"s{seed}-{number}"})


def over_time(
    customers: Iterator[Customer], seed: int, start: datetime, span: timedelta, count: int
) -> Iterator[Customer]:
    """The same events, each with the time at which it happened: in order, and about evenly over a span.

    Args:
        customers: The events.
        seed: Any integer.
        start: When the span begins, with its offset from UTC.
        span: How long it is.
        count: How many events fall into it.
    """
    draw = random.Random(seed).random  # noqa: S311 - nothing here is a secret
    for number, customer in enumerate(itertools.islice(customers, count)):
        at = start + timedelta(
            milliseconds=int((number + draw()) / count * (span / timedelta(milliseconds=1)))
        )
        yield Customer({**customer.event, "occurred_at": at.isoformat(timespec="milliseconds")})


def _live_on(draw: Callable[[], float], event: Event) -> None:
    """Changes a customer as life does between two events, or does not."""
    if draw() < _MONTH:
        event["tenure"] = int(event["tenure"]) + 1
        event["TotalCharges"] = round(float(event["TotalCharges"]) + float(event["MonthlyCharges"]), 2)
    contracts, payments, _ = _TERMS[str(event["InternetService"])]
    if draw() < _NEW_CONTRACT:
        event["Contract"] = _pick(draw(), contracts)
    if draw() < _OTHER_PAYMENT:
        event["PaymentMethod"] = _pick(draw(), payments)
    if draw() < _OTHER_SERVICE and event["InternetService"] != "No":
        services = (*_ADD_ONS, *_STREAMING)
        service = services[int(draw() * len(services))]
        event[service] = "No" if event[service] == "Yes" else "Yes"
        event["MonthlyCharges"] = _bill(event, draw()) / 100


def _bill(event: Event, at: float) -> int:
    """The monthly bill in cents for what a customer has."""
    counts = (
        [event[name] for name in _ADD_ONS].count("Yes"),
        [event[name] for name in _STREAMING].count("Yes"),
    )
    phone, lines = event["PhoneService"] == "Yes", str(event["MultipleLines"])
    return _monthly_cents(phone, lines, str(event["InternetService"]), counts, at)


def _customer(draw: Callable[[], float], customer_id: str) -> Event:
    """One customer, with shares and dependencies like those of the public table."""
    phone = draw() < 0.9
    internet = _internet(phone, draw())
    contracts, payments, paperless = _TERMS[internet]
    contract = _pick(draw(), contracts)
    tenure = _tenure(contract, draw())
    stay = tenure / 72
    partner = draw() < 0.3 + 0.35 * stay
    lines = ("Yes" if draw() < 0.28 + 0.35 * stay else "No") if phone else "No phone service"
    add_ons = [_extra(internet, draw() < 0.2 + 0.35 * stay) for _ in _ADD_ONS]
    streaming = [_extra(internet, draw() < 0.3 + 0.4 * stay) for _ in _STREAMING]
    cents = _monthly_cents(phone, lines, internet, (add_ons.count("Yes"), streaming.count("Yes")), draw())
    return {
        "customerID": customer_id,
        "gender": "Female" if draw() < 0.5 else "Male",
        "SeniorCitizen": int(draw() < 0.16),
        "Partner": _YES_NO[partner],
        "Dependents": _YES_NO[draw() < (0.5 if partner else 0.1)],
        "tenure": tenure,
        "PhoneService": _YES_NO[phone],
        "MultipleLines": lines,
        "InternetService": internet,
        **dict(zip(_ADD_ONS, add_ons, strict=True)),
        **dict(zip(_STREAMING, streaming, strict=True)),
        "Contract": contract,
        "PaperlessBilling": _YES_NO[draw() < paperless],
        "PaymentMethod": _pick(draw(), payments),
        "MonthlyCharges": cents / 100,
        # Prices have changed over the years, so that the total is not just a product.
        "TotalCharges": int(tenure * cents * (0.95 + 0.1 * draw())) / 100,
    }


def _customer_id(place: int) -> str:
    """The id at a place among all ids, shaped as `7590-VHVEG`."""
    digits, rest = divmod(place, 26**5)
    letters = ""
    for _ in range(5):
        rest, letter = divmod(rest, 26)
        letters += _LETTERS[letter]
    return f"{digits:04}-{letters}"


def _pick(at: float, shares: _Shares) -> str:
    return next((value for upto, value in shares if at < upto), shares[-1][1])


def _internet(phone: bool, at: float) -> str:
    # Whoever has no telephone has DSL, in the public table too.
    return _pick(at, ((0.27, "DSL"), (0.76, "Fiber optic"), (1.0, "No"))) if phone else "DSL"


def _extra(internet: str, wanted: bool) -> str:
    return "No internet service" if internet == "No" else _YES_NO[wanted]


def _tenure(contract: str, at: float) -> int:
    """Months from 0 to 72: many are new among those who may leave any month."""
    match contract:
        case "Month-to-month":
            return int(73 * at * at * (0.6 + 0.4 * at))
        case "One year":
            return int(8 + 65 * at)
        case _:
            return int(73 - 65 * at * at)


def _monthly_cents(phone: bool, lines: str, internet: str, counts: tuple[int, int], at: float) -> int:
    """The monthly bill in cents, 1825 to 11875, from the public table's price list give or take a little."""
    add_ons, streaming = counts
    bill = 2000 * phone + 500 * (lines == "Yes") + {"DSL": 2500, "Fiber optic": 5000, "No": 0}[internet]
    bill += 500 * add_ons + 1000 * streaming
    return min(11875, max(1825, bill - 175 + 5 * int(70 * at)))
