"""The file systems of object stores, made once a process, and what their errors mean."""

import os
import re
from functools import lru_cache
from typing import Any, Final

from shared.errors import ConfigurationError
from shared.stores.address import StoreAddress

# How pyarrow begins what a store answered, and what it adds that helps nobody.
_FROM_STORE: Final = re.compile(r"\bAWS Error\b|google::cloud|\bAzure\b|\bcurlCode\b", re.IGNORECASE)
_ANSWER: Final = re.compile(r"AWS Error (\w+(?: \(HTTP status \d+\))?) during \w+ operation: (.*)", re.DOTALL)
_NOISE: Final = re.compile(r"\s*\(Request ID: .*?\)|; Details: .*", re.DOTALL)

_RIGHTS: Final = re.compile(
    r"ACCESS_DENIED|INVALID_ACCESS_KEY|SIGNATURE_DOES_NOT|EXPIRED|INVALID_CLIENT_TOKEN|UNRECOGNIZED_CLIENT"
    r"|PERMISSION_DENIED|UNAUTHENTICATED|AuthorizationFailure|AuthenticationFailed|HTTP status 40[13]"
)
_REGION: Final = re.compile(r"HTTP status 30[17]|PermanentRedirect|AuthorizationHeaderMalformed")
_NETWORK: Final = re.compile(r"NETWORK_CONNECTION|curlCode|UNAVAILABLE: |resolve host", re.IGNORECASE)

_CREDENTIALS: Final = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the role of this machine",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or the service account of this machine",
    "abfs": "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or the managed identity of this machine",
    "abfss": "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or the managed identity of this machine",
}
_WHERE: Final = {
    "s3": "See the network and the endpoint: ?endpoint_override=HOST:PORT&scheme=http in the address, "
    "or AWS_ENDPOINT_URL.",
    "gs": "See the network and the endpoint: ?endpoint_override=HOST:PORT&scheme=http in the address.",
    "abfs": "See the network and the account's name in the address.",
    "abfss": "See the network and the account's name in the address.",
}


def connected(address: StoreAddress) -> tuple[Any, str]:
    """The file system of an address, and the address' path in it.

    Raises:
        ConfigurationError: An option is unknown, or this pyarrow was built without the store.
        OSError: The store cannot be asked where the bucket is.
    """
    # A file system does not survive a fork: each process has its own.
    try:
        system, root = _file_system(address.base, os.getpid())
    except (NotImplementedError, ImportError) as error:
        raise ConfigurationError(
            f"{address}: the installed pyarrow was built without {address.scheme}://",
            hint="Install pyarrow's own wheel, which has it: pip install --force-reinstall pyarrow.",
        ) from error
    except ValueError as error:
        raise ConfigurationError(
            f"{address}: the address cannot be used: {address.cleaned(str(error))}",
            hint="Options are pyarrow's, such as ?region=eu-west-1&endpoint_override=HOST:PORT&scheme=http.",
        ) from None
    return system, f"{root}/{address.key}" if root and address.key else root or address.key


@lru_cache(maxsize=64)
def _file_system(base: str, process: int) -> tuple[Any, str]:  # noqa: ARG001 - a key of the cache
    import pyarrow.fs  # noqa: PLC0415 - a run over local files has no use for the stores' libraries

    system, root = pyarrow.fs.FileSystem.from_uri(base)
    if system.type_name == "s3":
        # Writes in the background keep all of an object that is not sent yet in memory. The option has no
        # place in an address: the file system is made again, as it would be in another process.
        make, (options,) = system.__reduce__()
        system = make({**options, "background_writes": False})
    return system, root


def is_of_store(error: OSError) -> bool:
    """Whether an error is a store's answer, or that there was none, and not about a file's content."""
    return isinstance(error, FileNotFoundError) or _FROM_STORE.search(str(error)) is not None


def explained(address: StoreAddress, error: OSError) -> tuple[str, str]:
    """What an error of a store means, and the next step.

    Args:
        address: What was asked for.
        error: What pyarrow raised.
    """
    text = str(error)
    found = _ANSWER.search(text)
    said = _NOISE.sub("", f"{found[2]} ({found[1]})" if found else text).strip()
    said = " ".join(address.cleaned(said).split())
    if isinstance(error, FileNotFoundError) or "NO_SUCH_BUCKET" in text:
        if "NO_SUCH_BUCKET" in text or _lacks_bucket(address):
            where = str(address.at(""))
            return f"there is no bucket {where}", "Check its name, and the region or the endpoint."
        return (
            "there is no such object or folder",
            "Check the name: upper and lower case differ, and nothing is escaped.",
        )
    if _REGION.search(text):
        return f"the bucket is in another region: {said}", "Add ?region=NAME to the address, or AWS_REGION."
    if _RIGHTS.search(text):
        rights = f"See that the credentials may do that: {_CREDENTIALS[address.scheme]}."
        return f"the store refuses: {said}", rights
    if _NETWORK.search(text):
        return f"the store does not answer: {said}", _WHERE[address.scheme]
    return f"the store says: {said}", "Try again later; if it stays so, ask who runs the store."


def _lacks_bucket(address: StoreAddress) -> bool:
    """Whether it is the bucket that is not there: what a store says of an object does not tell."""
    import pyarrow.fs  # noqa: PLC0415 - as above

    try:
        system, path = connected(address.at(""))
        return bool(path) and system.get_file_info(path).type == pyarrow.fs.FileType.NotFound
    except OSError:
        return False
