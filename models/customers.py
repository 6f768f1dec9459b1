"""Made-up customers to learn from, as the public IBM Telco churn table declares them."""

import itertools
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from producer.generate import Customer, churn_customers
from shared.events import EventParser
from shared.frame import Frame
from shared.models.numerics import sigmoid
from shared.schema import Schema

Floats = npt.NDArray[np.float64]
Inputs = Sequence[Mapping[str, Any]]

KEY: Final = "customerID"
_INTERNET: Final = ("Yes", "No", "No internet service")
INPUTS: Final[tuple[dict[str, Any], ...]] = (
    {"name": KEY, "type": "string", "description": "The customer's id"},
    {"name": "gender", "type": "category", "values": ("Female", "Male")},
    {"name": "SeniorCitizen", "type": "integer", "minimum": 0, "maximum": 1, "description": "1 from 65 on"},
    {"name": "Partner", "type": "category", "values": ("Yes", "No")},
    {"name": "Dependents", "type": "category", "values": ("Yes", "No")},
    {
        "name": "tenure",
        "type": "integer",
        "minimum": 0,
        "maximum": 1200,
        "description": "Months as a customer",
    },
    {"name": "PhoneService", "type": "category", "values": ("Yes", "No")},
    {"name": "MultipleLines", "type": "category", "values": ("Yes", "No", "No phone service")},
    {"name": "InternetService", "type": "category", "values": ("DSL", "Fiber optic", "No")},
    {"name": "OnlineSecurity", "type": "category", "values": _INTERNET},
    {"name": "OnlineBackup", "type": "category", "values": _INTERNET},
    {"name": "DeviceProtection", "type": "category", "values": _INTERNET},
    {"name": "TechSupport", "type": "category", "values": _INTERNET},
    {"name": "StreamingTV", "type": "category", "values": _INTERNET},
    {"name": "StreamingMovies", "type": "category", "values": _INTERNET},
    {"name": "Contract", "type": "category", "values": ("Month-to-month", "One year", "Two year")},
    {"name": "PaperlessBilling", "type": "category", "values": ("Yes", "No")},
    {
        "name": "PaymentMethod",
        "type": "category",
        "values": (
            "Electronic check",
            "Mailed check",
            "Bank transfer (automatic)",
            "Credit card (automatic)",
        ),
    },
    {
        "name": "MonthlyCharges",
        "type": "number",
        "minimum": 0,
        "maximum": 10_000,
        "description": "The latest monthly bill",
    },
    {
        "name": "TotalCharges",
        "type": "number",
        "minimum": 0,
        "maximum": 1_000_000,
        "description": "All bills so far",
    },
)
#: The same for a model that knows what to do with a customer who has had no bill yet.
INPUTS_WITH_MISSING: Final = (
    *INPUTS[:-1],
    {**INPUTS[-1], "missing": "nan", "description": "All bills so far; blank before the first"},
)


@dataclass(frozen=True, slots=True)
class Sample:
    """Made-up customers with what became of them.

    Attributes:
        events: The customers.
        frame: The same as columns.
        probabilities: How likely each was to churn.
        churned: 1.0 for those who did.
    """

    events: list[dict[str, Any]]
    frame: Frame
    probabilities: Floats
    churned: Floats


def draw_sample(inputs: Inputs, seed: int, count: int) -> Sample:
    """Customers of a seed, and by the throw of a die what became of them.

    Where TotalCharges may be missing it is, for those in their first month, as in the public table.

    Args:
        inputs: What the model declares.
        seed: Another seed gives other customers.
        count: How many.
    """
    schema = Schema.model_validate({"key": KEY, "inputs": inputs})
    customers: list[Customer] = list(itertools.islice(churn_customers(seed), count))
    blank = {feature.name for feature in schema.features if feature.missing == "nan"}
    events = [
        {
            name: value
            for name, value in customer.event.items()
            if name != "event_id" and (customer.event["tenure"] or name not in blank)
        }
        for customer in customers
    ]
    parsed = EventParser(schema).parse([json.dumps(event).encode() for event in events])
    if parsed.rejections:
        raise AssertionError(f"a made-up customer does not fit the model: {parsed.rejections[0]}")
    probabilities = sigmoid(np.array([customer.churn_logit for customer in customers]))
    die = random.Random(f"churn {seed}").random  # noqa: S311 - nothing here is a secret
    churned = np.array([die() < probability for probability in probabilities.tolist()], np.float64)
    return Sample(events, parsed.frame, probabilities, churned)
