"""A certificate holds for the model that it was made for, and for no other; its page stands alone."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from batch.model.page import certificate_page
from shared.errors import ModelError
from shared.models.certificate import Certificate, libraries_of, standing_of
from shared.models.directory import read_model
from shared.predict import Predictor
from tests.support.models import change_model, linear_model, threshold_model
from tests.support.tables import write_rows

Certify = Callable[..., Certificate]


def standing(directory: Path) -> tuple[str, str]:
    found = standing_of(directory, read_model(directory, certifying=True))
    return found.state, found.detail


def test_the_file_holds_the_certificate(tmp_path: Path, quick: Certify) -> None:
    directory = linear_model(tmp_path / "m")
    found = quick(directory)
    assert Certificate.model_validate_json((directory / "certificate.json").read_bytes()) == found
    assert (directory / "certificate.html").read_text(encoding="utf-8") == certificate_page(found)
    assert found.libraries == libraries_of("linear")
    assert {"numpy", "pyarrow"} == set(found.libraries)
    assert found.machine.cores >= 1
    assert found.machine.processor


def test_a_certificate_is_valid_for_its_model(tmp_path: Path, quick: Certify) -> None:
    directory = linear_model(tmp_path / "m")
    assert standing(directory) == ("none", "the model is not certified")
    issued = quick(directory).issued
    assert standing(directory) == ("valid", f"bit-stable, of {issued[:10]}, 202 rows")


def test_a_changed_model_makes_it_stale(tmp_path: Path, quick: Certify) -> None:
    directory = linear_model(tmp_path / "m")
    before = quick(directory).model.sha256[:12]
    change_model(directory, threshold=0.25)
    state, detail = standing(directory)
    assert state == "stale"
    assert f"is of sha256 {before}, and the model's is {read_model(directory).short_sha256} now" in detail


def test_a_change_that_no_score_depends_on_leaves_it_valid(tmp_path: Path, quick: Certify) -> None:
    directory = linear_model(tmp_path / "m")
    quick(directory)
    change_model(directory, description="another text", provenance={"run": "7"})
    assert standing(directory)[0] == "valid"


def test_a_refusal_stands(planted: Callable[[str], Path], quick: Certify) -> None:
    directory = planted("by-thread")
    quick(directory)
    state, detail = standing(directory)
    assert state == "refused"
    assert "says: even one row at a time 54 of 108 combinations differ, all on 2 threads" in detail
    with pytest.raises(ModelError, match="was found not to score alike on both paths"):
        Predictor.load(directory)


def test_a_library_that_has_changed_since_is_told(tmp_path: Path, quick: Certify) -> None:
    directory = linear_model(tmp_path / "m")
    quick(directory)
    path = directory / "certificate.json"
    content = json.loads(path.read_bytes())
    content["libraries"] |= {"numpy": "1.0", "boosters": "2.0"}
    path.write_text(json.dumps(content))
    state, detail = standing(directory)
    assert state == "valid"
    assert f"; since then numpy 1.0 has become {libraries_of('linear')['numpy']}" in detail
    assert detail.endswith(", boosters 2.0 has become uninstalled")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"verdict": "bit-stable"}', b"\x80\x04pickle"])
def test_a_damaged_certificate_is_no_certificate(content: bytes, tmp_path: Path) -> None:
    directory = threshold_model(tmp_path / "m")
    (directory / "certificate.json").write_bytes(content)
    state, detail = standing(directory)
    assert state == "damaged"
    assert "certificate.json is not a certificate: " in detail


def test_a_certificate_that_cannot_be_read_is_no_certificate(tmp_path: Path) -> None:
    directory = threshold_model(tmp_path / "m")
    (directory / "certificate.json").mkdir()
    assert standing(directory)[0] == "damaged"


def test_the_page_says_the_verdict_first_and_each_combination(tmp_path: Path, quick: Certify) -> None:
    page = certificate_page(quick(linear_model(tmp_path / "m")))
    text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)
    shown = text.split()
    assert shown[:2] == ["linear@2", "is"]
    assert text.index("Bit-stable") < text.index("sha256") < text.index("Every combination")
    assert page.count('<td class="same"') == 108
    for word in ("by 50", "shuffled", "Parquet", "numpy", "Issued"):
        assert word in text


def test_the_page_asks_for_nothing_from_anywhere(tmp_path: Path, quick: Certify) -> None:
    page = certificate_page(quick(linear_model(tmp_path / "m")))
    assert not re.search(r"https?:|//\w|<script|<link|<img|\bsrc=|\bhref=|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_the_page_shows_differences_and_never_a_text_as_markup(
    tmp_path: Path, planted: Callable[[str], Path], quick: Certify
) -> None:
    rows = [{"customer_id": number, "feature": number} for number in range(80)]
    sample = write_rows(tmp_path, "ndjson", rows, name="<script>&amp;")
    page = certificate_page(quick(planted("by-size"), sample=sample))
    assert "<script>" not in page
    assert "&lt;script&gt;&amp;amp;.ndjson" in page
    assert '<div class="verdict row-by-row">' in page
    assert page.count('<td class="off"') == 54
    assert "50 differ<br>by 1 ulp" in page
