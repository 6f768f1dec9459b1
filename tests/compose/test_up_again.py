"""`docker compose up` after `docker compose down`: the data is still there."""

import pytest

from tests.compose.project import EVENTS, Project, number_in_table

pytestmark = pytest.mark.compose


@pytest.mark.usefixtures("opened")
def test_data_survives_down_and_three_consumers_share_the_work(project: Project) -> None:
    project.stop()
    project.run("down", "--timeout", "30")
    shown = project.up("--scale", "consumer=3", TANDEM_WORKERS="1")
    assert "proof-1 exited with code 0" in shown, shown[-6000:]
    assert number_in_table(shown, "events on the topic") > 2 * EVENTS
    # The page has the one address, and is that of one of the three.
    assert project.until(lambda state: state["ready"])["workers"][0]["partitions"] < 6
