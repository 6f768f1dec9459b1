"""Customers as a DataFrame, and boosters trained on them as people train them."""

from dataclasses import dataclass
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost

CONTRACTS = ("monthly", "yearly", "two years")


@dataclass(frozen=True)
class Customers:
    """Made-up customers.

    Attributes:
        frame: Every column, the id and the label included.
        csv: The same as a file.
    """

    frame: pd.DataFrame
    csv: Path

    @property
    def features(self) -> pd.DataFrame:
        return self.frame.drop(columns=["customerID", "Churn"])

    @property
    def one_hot(self) -> pd.DataFrame:
        return pd.get_dummies(self.features)

    @property
    def labels(self) -> pd.Series:
        return self.frame["Churn"]


@pytest.fixture(scope="session")
def customers(tmp_path_factory: pytest.TempPathFactory) -> Customers:
    random = np.random.default_rng(1)
    count = 800
    tenure = random.integers(0, 72, count)
    charges = random.uniform(20, 120, count)
    codes = random.integers(0, len(CONTRACTS), count)
    odds = charges / 40 - tenure / 30 - codes
    frame = pd.DataFrame(
        {
            "customerID": [f"c-{number}" for number in range(count)],
            "tenure": tenure,
            "charges": np.where(random.random(count) < 0.1, np.nan, charges),
            "contract": pd.Categorical.from_codes(
                np.where(random.random(count) < 0.1, -1, codes), categories=list(CONTRACTS)
            ),
            "partner": random.random(count) < 0.5,
            "Churn": (random.random(count) < 1 / (1 + np.exp(-odds))).astype(int),
        }
    )
    path = tmp_path_factory.mktemp("customers") / "customers.csv"
    frame.to_csv(path, index=False)
    return Customers(frame, path)


@pytest.fixture(scope="session")
def boosters(customers: Customers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with cat.ubj, cat.json, hot.ubj, unnamed.ubj, regression.json and cat.txt."""
    folder = tmp_path_factory.mktemp("boosters")
    settings = {"objective": "binary:logistic", "max_depth": 3, "nthread": 1}
    data = xgboost.DMatrix(customers.features, customers.labels, enable_categorical=True, nthread=1)
    booster = xgboost.train(settings, data, 10)
    booster.save_model(folder / "cat.ubj")
    booster.save_model(folder / "cat.json")
    data = xgboost.DMatrix(customers.one_hot, customers.labels, nthread=1)
    xgboost.train(settings, data, 10).save_model(folder / "hot.ubj")
    xgboost.train(settings | {"objective": "reg:squarederror"}, data, 5).save_model(
        folder / "regression.json"
    )
    data = xgboost.DMatrix(customers.one_hot.to_numpy(float), customers.labels, nthread=1)
    xgboost.train(settings, data, 10).save_model(folder / "unnamed.ubj")
    quiet = {"objective": "binary", "verbosity": -1, "num_threads": 1, "num_leaves": 8}
    trees = lightgbm.train(quiet, lightgbm.Dataset(customers.features, customers.labels), 10)
    trees.save_model(folder / "cat.txt")
    return folder
