"""Addresses of object stores: what the user writes, what is shown of it, and what pyarrow is given."""

import re
from dataclasses import dataclass, field, replace
from typing import Final

from shared.errors import ConfigurationError

SCHEMES: Final = ("s3", "gs", "abfs", "abfss")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# A question mark is a wildcard of a pattern too: options begin where a name and an equals sign follow.
_OPTIONS: Final = re.compile(r"\?(?=[A-Za-z_]+=)")
# The password of an address, up to the last @: a password may hold one that should have been escaped.
_ADDRESS_PASSWORD: Final = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s:/?#@]*):[^\s]+@")
_OPTION_PASSWORD: Final = re.compile(r"(?i)([?&]\w*password=)[^&\s]+")
_ESCAPED: Final = "In the user and password of an address write / as %2F, @ as %40, : as %3A and + as %2B."


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A place in an object store. Its text holds no credentials: it may stand in messages and manifests.

    Attributes:
        scheme: `s3`, `gs`, `abfs` or `abfss`.
        authority: What stands between the scheme and the key: the bucket, with the credentials if given.
        key: The object's name in the bucket as it is, nothing in it escaped; "" is the whole bucket.
        options: What follows the question mark, as pyarrow takes it: `region=eu-west-1&scheme=http`.
    """

    scheme: str
    authority: str = field(repr=False)
    key: str
    options: str = field(repr=False, default="")

    @classmethod
    def parse(cls, text: str) -> "StoreAddress":
        """Takes an address apart.

        Raises:
            ConfigurationError: The scheme is unknown, or no bucket is named.
        """
        found = _SCHEME.match(text)
        scheme = found[1].lower() if found else ""
        if not found or scheme not in SCHEMES:
            known = ", ".join(f"{known}://" for known in SCHEMES)
            raise ConfigurationError(
                f"{scheme}://: files cannot be read or written there",
                hint=f"Known: {known}, or a path of this machine.",
            )
        place, *options = _OPTIONS.split(text[found.end() :], maxsplit=1)
        authority, _, key = place.partition("/")
        if scheme == "s3" and ":" in authority and "@" not in authority:
            # A secret key holds a slash more often than not.
            raise ConfigurationError(f"{scheme}://***: the address cannot be read", hint=_ESCAPED)
        if not authority.rpartition("@")[2]:
            raise ConfigurationError(
                f"{scheme}://: no bucket is named", hint=f"Write {scheme}://BUCKET/FOLDER."
            )
        return cls(scheme, authority, key.strip("/"), options[0] if options else "")

    def __str__(self) -> str:
        user, at, host = self.authority.rpartition("@")
        # The user of an Azure address is the container; an S3 address' is an access key.
        shown = f"{user.partition(':')[0]}{at}{host}" if self.scheme.startswith("abfs") else host
        return f"{self.scheme}://{shown}/{self.key}" if self.key else f"{self.scheme}://{shown}"

    @property
    def base(self) -> str:
        """What pyarrow makes a file system of. It may hold credentials."""
        options = self.options
        if self.scheme == "s3" and "allow_delayed_open=" not in options:
            # A small object is then written by one request, and not by the three of an upload in parts.
            options = f"{options}&allow_delayed_open=true".lstrip("&")
        return f"{self.scheme}://{self.authority}" + (f"?{options}" if options else "")

    def at(self, key: str) -> "StoreAddress":
        """Another place in the same bucket."""
        return replace(self, key=key)

    def below(self, name: str) -> "StoreAddress":
        """A place below this one."""
        return self.at(f"{self.key}/{name}" if self.key else name)

    def cleaned(self, text: str) -> str:
        """A text of pyarrow's without the credentials of this address."""
        user = self.authority.rpartition("@")[0]
        secrets = [self.base, self.authority, user, user.partition(":")[2]]
        for secret in filter(None, secrets if user else secrets[:1]):
            text = text.replace(secret, str(self) if secret == self.base else "***")
        return text


def has_scheme(text: str) -> bool:
    """Whether a text is an address and no path of this machine."""
    return _SCHEME.match(text) is not None


def is_store_address(text: str) -> bool:
    """Whether a text is an address of an object store."""
    found = _SCHEME.match(text)
    return found is not None and found[1].lower() in SCHEMES


def without_passwords(text: str) -> str:
    """A text with the passwords of the addresses in it masked: scheme://user:password@host?password=..."""
    return _OPTION_PASSWORD.sub(r"\1***", _ADDRESS_PASSWORD.sub(r"\1:***@", text))


def shown_address(text: str) -> str:
    """A text as it may be shown: an address of an object store without its options and credentials.

    Any other loses its passwords. A word may stand before an address, as in `delta:s3://BUCKET/TABLE`.
    """
    word, colon, address = text.partition(":")
    if colon and is_store_address(address):
        return f"{word}:{shown_address(address)}"
    if not is_store_address(text):
        return without_passwords(text)
    try:
        return str(StoreAddress.parse(text))
    except ConfigurationError:
        return f"{text.partition('://')[0]}://***"
