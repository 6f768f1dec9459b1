"""Where a database is, and how it is told to people: never with its password."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Self
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from shared.errors import ConfigurationError
from shared.stores.address import without_passwords

#: By the scheme of an address, the kind of database.
SCHEMES: Final[dict[str, Literal["postgresql", "sqlite"]]] = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "sqlite": "sqlite",
}
_FORMS: Final = (
    "It is postgresql://USER@HOST:PORT/DATABASE, or sqlite:///FILE (sqlite:////FILE from the root)."
)
_HOW_TO_GIVE: Final = "Give it in PGPASSWORD, in ~/.pgpass, or in a file with --database-password-file."
# A server that does not answer is to be told of, not waited for as long as TCP does.
_CONNECT_SECONDS: Final = 15


@dataclass(frozen=True, slots=True)
class Address:
    """A database.

    Attributes:
        kind: What it is.
        shown: The address without its password, for people and for the manifest.
        uri: What the driver is given; it may hold a password.
        file: The file of a SQLite database; None for a server.
        password_file: A file that holds the password.
        has_password: Whether the address itself holds one.
    """

    kind: Literal["postgresql", "sqlite"]
    shown: str
    uri: str = field(repr=False)
    file: Path | None = None
    password_file: Path | None = None
    has_password: bool = False

    @classmethod
    def read(cls, text: str, password_file: Path | None = None) -> Self:
        """Reads an address.

        Args:
            text: A URI.
            password_file: A file that holds the password, when the address does not.

        Raises:
            ConfigurationError: It is none, or has a password besides a password file.
        """
        scheme, _, rest = text.partition(":")
        if not rest.startswith("//"):
            # Where its password is cannot be told.
            raise ConfigurationError(f"{scheme}: the address cannot be read", hint=_FORMS)
        # The driver knows a scheme in small letters alone.
        text = f"{scheme.lower()}:{rest}"
        shown = without_passwords(text)
        kind = SCHEMES[scheme.lower()]
        if kind == "sqlite":
            return cls(kind, shown, text, file=_file_of(text, shown))
        try:
            parts = urlsplit(text)
            options = {name for name, _ in parse_qsl(parts.query)}
        except ValueError:
            raise ConfigurationError(f"{shown}: the address cannot be read", hint=_FORMS) from None
        if not text.startswith(f"{parts.scheme}://") or parts.fragment:
            raise ConfigurationError(f"{shown}: the address cannot be read", hint=_FORMS)
        holds = shown != text
        if holds and password_file is not None:
            raise ConfigurationError(
                f"{shown}: the address has a password, and --database-password-file names another",
                hint="Take the password out of the address, where others can read it.",
            )
        added = {"fallback_application_name": "tandem"}
        if "connect_timeout" not in options:
            added["connect_timeout"] = str(_CONNECT_SECONDS)
        return cls(kind, shown, _with(text, added), password_file=password_file, has_password=holds)

    def with_password(self) -> tuple[str, str | None]:
        """What the driver is given, with the password of the password file, and that password.

        Raises:
            ConfigurationError: The file cannot be read, or is empty.
        """
        if self.password_file is None:
            return self.uri, None
        try:
            password = self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            said = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ConfigurationError(
                f"{self.password_file}: the password cannot be read: {said}", hint=_HOW_TO_GIVE
            ) from None
        if not password:
            raise ConfigurationError(f"{self.password_file}: the password file is empty", hint=_HOW_TO_GIVE)
        return _with(self.uri, {"password": password}), password


def is_database(text: str) -> bool:
    """Whether a text is meant as the address of a database."""
    scheme, colon, _ = text.partition(":")
    return bool(colon) and scheme.lower() in SCHEMES


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def literal(text: str) -> str:
    """A text as SQL takes it."""
    escaped = text.replace("'", "''")
    return f"'{escaped}'"


def _with(uri: str, options: dict[str, str]) -> str:
    joined = "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())
    return f"{uri}{'&' if '?' in uri else '?'}{joined}"


def _file_of(text: str, shown: str) -> Path:
    rest = text.partition(":")[2]
    if not rest.startswith("///") or not (path := unquote(rest[3:])) or "?" in path:
        raise ConfigurationError(f"{shown}: the address cannot be read", hint=_FORMS)
    return Path(path)
