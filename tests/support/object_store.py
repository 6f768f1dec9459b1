"""An S3-compatible store of this machine, in a process of its own, which can be told to misbehave.

In a process of its own, since pyarrow holds Python's lock at some of its requests.
"""

import json
import os
import re
import subprocess
import sys
import threading
import urllib.request
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from tests.support.commands import ROOT

#: In a bucket whose name begins so, everything is refused.
FORBIDDEN = "forbidden"
#: The second part of an upload to a key that holds this word is refused, or held until the sender is gone.
REFUSED, HELD = "refused-upload", "held-upload"
_ACCOUNT = "123456789012"
_DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """A running store.

    Attributes:
        endpoint: Its host and port.
    """

    endpoint: str

    @property
    def variables(self) -> dict[str, str]:
        """The environment in which `s3://` is this store."""
        return {
            "AWS_ENDPOINT_URL": f"http://{self.endpoint}",
            "AWS_ACCESS_KEY_ID": "a-key",
            "AWS_SECRET_ACCESS_KEY": "a-secret",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def new_bucket(self, prefix: str = "bucket") -> "Bucket":
        """A bucket with nothing in it."""
        name = f"{prefix}-{uuid.uuid4().hex[:12]}"
        self.ask("PUT", name)
        return Bucket(self, name)

    def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """What the store answers to a request."""
        url = f"http://{self.endpoint}/{path}"
        # An S3 server tells accounts apart by the key that the request names.
        signed = f"AWS4-HMAC-SHA256 Credential=a-key/20260101/us-east-1/s3/aws4_request, Signature={'0' * 64}"
        request = urllib.request.Request(
            url,
            data=body or None,
            method=method,
            headers={"Authorization": signed, "Content-Type": "text/plain"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return bytes(answer.read())


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of the store."""

    store: ObjectStore
    name: str

    @property
    def address(self) -> str:
        """Its address."""
        return f"s3://{self.name}"

    def keys(self, prefix: str = "") -> list[str]:
        """The names of the objects, but for the empty ones that stand for folders."""
        listed = self.store.ask("GET", f"{self.name}?list-type=2&prefix={prefix}").decode()
        return [key for key in re.findall(r"<Key>(.*?)</Key>", listed) if not key.endswith("/")]

    def uploads(self) -> list[str]:
        """The keys of the uploads that are not complete."""
        return re.findall(r"<Key>(.*?)</Key>", self.store.ask("GET", f"{self.name}?uploads").decode())

    def put(self, key: str, content: bytes) -> None:
        """Writes an object."""
        self.store.ask("PUT", f"{self.name}/{quote(key)}", content)

    def get(self, key: str) -> bytes:
        """Reads an object."""
        return self.store.ask("GET", f"{self.name}/{quote(key)}")

    def age(self, key: str, seconds: float) -> None:
        """Makes an object look as if it had been written that much earlier."""
        told = {"bucket": self.name, "key": key, "seconds": seconds}
        self.store.ask("POST", "-age", json.dumps(told).encode())


@contextmanager
def running_object_store() -> Iterator[ObjectStore]:
    """Runs the store for as long as the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.object_store"],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port, "the store did not start: is moto[s3,server] installed?"
        yield ObjectStore(f"127.0.0.1:{port}")
    finally:
        process.kill()
        process.communicate()


class _Misbehaving:
    """Hands requests to the real application, but for those that it is to refuse or to hold."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._never = threading.Event()

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
        if path == "/-age":
            self._age(**json.loads(self._body(environ)))
            start("200 OK", [])
            return []
        later_part = re.search(r"partNumber=([2-9]|\d\d)", query) is not None
        if HELD in path and later_part:
            self._body(environ)
            self._never.wait(60)
        if (path.startswith(f"/{FORBIDDEN}") and environ["REQUEST_METHOD"] != "PUT") or (
            REFUSED in path and later_part
        ):
            self._body(environ)
            start(
                "403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(_DENIED)))]
            )
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [_DENIED]
        answer: Iterable[bytes] = self._application(environ, start)
        return answer

    def _body(self, environ: dict[str, Any]) -> bytes:
        return bytes(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))

    def _age(self, bucket: str, key: str, seconds: float) -> None:
        from moto.s3.models import s3_backends  # noqa: PLC0415 - in the server's process only

        found = s3_backends[_ACCOUNT]["aws"].buckets[bucket].keys[key]
        found.last_modified -= timedelta(seconds=seconds)


def _serve() -> None:
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415 - in the server's process only
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server  # noqa: PLC0415 - as above

    application = _Misbehaving(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    print(server.server_port, flush=True)
    # The parent's end of this pipe is closed when it ends, however it does.
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    _serve()
