"""What people see of a consumer: its page over HTTP and its figures on a terminal, of the same looks."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from consumer.settings import ConsumerSettings
from consumer.web.health import Snapshots
from consumer.web.server import address_of, serving, watching
from consumer.web.settings import Page
from shared.settings import color_wanted


@contextmanager
def facing(settings: ConsumerSettings, snapshots: Snapshots) -> Iterator[int | None]:
    """Serves HTTP and shows figures on the terminal for as long as the block runs, as far as that is wanted.

    Args:
        settings: What is wanted.
        snapshots: Gives what each worker says of itself; called on other threads.

    Yields:
        A file to give to the workers' processes as their standard error, where figures are shown; else None.

    Raises:
        ConfigurationError: HTTP cannot be served there, or the page cannot show what it is told to.
    """
    if not on_screen(settings):
        with serving(settings, snapshots):
            yield None
        return
    # For a terminal only, as what a page needs is for a page only.
    from consumer.screen import shown  # noqa: PLC0415

    looking = watching(settings, snapshots)
    with ExitStack() as stack:
        port = stack.enter_context(serving(settings, snapshots, looking))
        paged = port is not None and settings.shows is not Page.OFF
        # Where there is a page, the server takes the samples.
        look = looking.state if paged else looking.tick
        address = address_of(settings, port) if paged and port is not None else None
        yield stack.enter_context(shown(look, looking.tick, address))


def on_screen(settings: ConsumerSettings) -> bool:
    """Whether figures are shown: standard error is a terminal for people, and nobody said no."""
    return settings.screen and settings.log_format != "json" and color_wanted()
