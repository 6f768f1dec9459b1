"""A model, and what an honest stream made of events with it."""

from pathlib import Path

import pytest

from batch.proof.models import Models
from shared.models.shipped import shipped_model
from shared.predict import Predictor
from tests.support.models import linear_model
from tests.support.proofs import Recorded, churn_messages, recorded


@pytest.fixture(scope="session")
def churn() -> Predictor:
    """The shipped model."""
    return Predictor.load(shipped_model("churn"))


@pytest.fixture(scope="session")
def models(churn: Predictor) -> Models:
    """It alone is at hand."""
    return Models([churn.model])


@pytest.fixture(scope="session")
def recording(churn: Predictor) -> Recorded:
    """Two hundred events with some bad ones, and their answers: shared by all tests, not to be changed."""
    return recorded(churn_messages(200, bad=0.1), [churn], batch=30)


@pytest.fixture
def honest(recording: Recorded) -> Recorded:
    """The same, to plant a fault in."""
    return recording.copy()


@pytest.fixture(scope="session")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A model that explains its scores exactly."""
    directory: Path = linear_model(tmp_path_factory.mktemp("models") / "linear")
    return Predictor.load(directory)
