"""Makes MLflow model folders, and says what mlflow's pyfunc predicts. Run by an interpreter that has mlflow.

Usage: python mlflow_models.py FOLDER
It writes the folders `xgboost`, `lightgbm` and `classifier`, sample.csv with 1,000 customers that no model
was trained on, and predictions.json with the pyfunc's prediction of each of them, by folder.
"""

import json
import sys
from pathlib import Path

import lightgbm
import mlflow.lightgbm
import mlflow.pyfunc
import mlflow.xgboost
import numpy as np
import pandas as pd
import xgboost
from mlflow.models import infer_signature

TRAINED, SCORED = 4_000, 1_000
CONTRACTS = ["Month-to-month", "One year", "Two year"]
PAYMENTS = ["Mailed check", "Bank transfer", "Credit card", "Electronic check"]
# mlflow would look through an environment for these; nothing here is served.
REQUIREMENTS = ["xgboost-cpu", "lightgbm"]


def customers(seed: int, count: int) -> tuple[pd.DataFrame, pd.Series]:
    """Customers with categories whose order is not the alphabet's, and with missing values; who churned."""
    random = np.random.default_rng(seed)
    contracts, payments = random.integers(0, 3, count), random.integers(0, 4, count)
    tenure, charges = random.integers(0, 72, count), random.uniform(18, 120, count)
    odds = charges / 30 - tenure / 20 - contracts + 0.4 * payments - 1
    contracts = np.where(random.random(count) < 0.1, -1, contracts)
    frame = pd.DataFrame(
        {
            "tenure": tenure,
            "charges": np.where(random.random(count) < 0.1, np.nan, charges),
            "contract": pd.Categorical.from_codes(contracts, categories=CONTRACTS),
            "payment": pd.Categorical.from_codes(payments, categories=PAYMENTS),
            "senior": random.random(count) < 0.2,
        }
    )
    churned = random.random(count) < 1 / (1 + np.exp(-odds))
    return frame, pd.Series(churned.astype(float), name="churned")


def main(folder: Path) -> None:
    """Trains, saves, and scores."""
    rows, churned = customers(1, TRAINED)
    sample, _ = customers(2, SCORED)
    sample.assign(customer_id=range(SCORED)).to_csv(folder / "sample.csv", index=False)
    settings = {"objective": "binary:logistic", "max_depth": 4, "nthread": 2, "seed": 1}
    quiet = {"objective": "binary", "num_leaves": 15, "verbosity": -1, "num_threads": 2, "seed": 1}

    # The pyfunc hands a booster a DMatrix without categories: they are made columns, as its users make them.
    one_hot = pd.get_dummies(rows)
    booster = xgboost.train(settings, xgboost.DMatrix(one_hot, churned), 30)
    signature = infer_signature(one_hot, churned)
    mlflow.xgboost.save_model(booster, folder / "xgboost", signature=signature, pip_requirements=REQUIREMENTS)
    # With a signature the pyfunc refuses pandas' categories, so that these two have none.
    trees = lightgbm.train(quiet, lightgbm.Dataset(rows, churned), 30)
    mlflow.lightgbm.save_model(trees, folder / "lightgbm", pip_requirements=REQUIREMENTS)
    classifier = xgboost.XGBClassifier(n_estimators=30, max_depth=4, enable_categorical=True, seed=1)
    classifier.fit(rows, churned.astype(int))
    mlflow.xgboost.save_model(classifier, folder / "classifier", pip_requirements=REQUIREMENTS)

    scored = {"xgboost": pd.get_dummies(sample), "lightgbm": sample, "classifier": sample}
    predictions = {
        name: np.asarray(mlflow.pyfunc.load_model(str(folder / name)).predict(frame)).tolist()
        for name, frame in scored.items()
    }
    (folder / "predictions.json").write_text(json.dumps(predictions), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
