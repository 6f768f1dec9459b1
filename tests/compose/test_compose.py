"""`docker compose up`, as a user runs it: the image is built and both paths agree."""

import re
from pathlib import Path

import pytest

from tests.compose.project import EVENTS, Project, number_in_table

pytestmark = pytest.mark.compose


def test_up_opens_with_the_address_of_the_page(project: Project, opened: str) -> None:
    before, *_ = re.split(r"topics-1 +\|", opened)
    assert project.page in before
    assert f"The live page is at {project.page}" in opened


def test_the_proof_ends_with_the_table_and_both_paths_agree(opened: str) -> None:
    assert "proof-1 exited with code 0" in opened, opened[-6000:]
    assert "[False, True, False, True]" in opened
    assert "(105, 0.7) -> True" in opened
    events, scored, rejected = (
        number_in_table(opened, row)
        for row in ("events on the topic", "scored by the stream", "rejected by the stream")
    )
    assert events == scored + rejected > EVENTS
    assert rejected > 0
    assert number_in_table(opened, "identical to the bit") == scored
    assert "✓ Identical and conserved" in opened


@pytest.mark.usefixtures("opened")
def test_the_report_can_be_had(project: Project, tmp_path: Path) -> None:
    project.run("cp", "proof:/report/report.html", str(tmp_path))
    assert "Identical and conserved" in (tmp_path / "report.html").read_text(encoding="utf-8")
