"""What the HTTP port can be told: where it listens, and what its page shows to whom."""

from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator, model_validator


class Page(StrEnum):
    """What the live page shows."""

    EVENTS = "events"
    FIGURES = "figures"
    OFF = "off"


class HttpSettings(BaseModel):
    """How health, metrics and the live page are served."""

    http: bool = Field(True, description="Serve the live page, /livez, /readyz and /metrics.")
    http_host: str = Field("127.0.0.1", description="The address to serve them on.")
    http_port: int = Field(
        9464, ge=0, le=65535, description="The port to serve them on; 0 takes any that is free."
    )
    page: Page | None = Field(
        None,
        description="What the live page shows: events: figures, and the latest predictions and dead letters"
        " with their inputs; figures: nothing of any event; off: there is none. Unless given, events on this"
        " machine's own addresses, figures on any other.",
    )
    page_url: str | None = Field(
        None,
        description="Where people find the page, when it is not where it is served: behind a proxy, or a port"
        " that a container publishes.",
    )
    mask_customers: bool = Field(
        False, description="Show no customer's id on the page, and of an event only the inputs that mattered."
    )
    proof: Path | None = Field(
        None,
        description="The folder to which python -m batch prove --report writes: the page tells what it found,"
        " and shows the report.",
    )
    send_form: bool = Field(
        False, description="Let whoever sees the page send an event to the input topic, and follow it."
    )

    @field_validator("page_url")
    @classmethod
    def _a_page(cls, url: str | None) -> str | None:
        if url is None:
            return url
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            # What Python says of it quotes it, and it may hold a password.
            raise ValueError("must name a host, and a port only from 1 to 65535") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must begin with http:// or https:// and name a host")
        if parts.username is not None:
            raise ValueError("must hold no user and no password: it is shown in the log and on the terminal")
        if port == 0:
            raise ValueError("must name a port from 1 to 65535, or none")
        # The page asks for its parts at / and /page/.
        if parts.path not in ("", "/"):
            raise ValueError("must have no path: give the page a name or a port of its own")
        return url

    @model_validator(mode="after")
    def _with_a_page(self) -> Self:
        if self.page_url is not None and self.shows is Page.OFF:
            raise ValueError("--page-url says where the page is: give it without --page off and --no-http")
        if self.send_form and (not self.http or self.shows is not Page.EVENTS):
            raise ValueError(
                "--send-form shows what becomes of an event: give it with --page events, without --no-http"
            )
        return self

    @property
    def shows(self) -> Page:
        """What the page shows."""
        if not self.http:
            return Page.OFF
        return self.page or (Page.EVENTS if _is_loopback(self.http_host) else Page.FIGURES)


def in_url(host: str) -> str:
    """A host's name or address as it stands in a URL: one of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
