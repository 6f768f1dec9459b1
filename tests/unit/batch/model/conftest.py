"""Kinds with planted instabilities, and certifying in little time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch.model import trials
from batch.model.certify import CertifySettings, certify
from shared.models.certificate import Certificate
from shared.models.directory import KINDS
from tests.support.models import change_model, threshold_model
from tests.support.unstable import PLANTED

Certify = Callable[..., Certificate]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Certify:
    """Certifies a model as the command does, with small batches and few of them."""
    monkeypatch.setattr(trials, "MOST_CALLS", 3)
    monkeypatch.setattr(trials, "SIZES", (1, 2, 7, 50, 51, 64))

    def run(directory: Path, rows: int = 200, **options: Any) -> Certificate:
        return certify(CertifySettings(model=directory, rows=rows, **options))

    return run


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes a model of a planted kind."""
    for scorer in PLANTED:
        monkeypatch.setitem(KINDS, scorer.kind, scorer)

    def make(kind: str) -> Path:
        return change_model(threshold_model(tmp_path / kind), kind=kind)

    return make
