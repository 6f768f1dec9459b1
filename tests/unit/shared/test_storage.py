"""Files are read alike on this machine and in an object store, and no credentials are ever shown."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

from shared.errors import ConfigurationError, InputError
from shared.storage import StoredFile, stored_file
from shared.stores.address import StoreAddress, shown_address
from shared.stores.file import StoreFile
from shared.stores.folder import StoreFolder
from shared.stores.listing import list_at
from tests.support.object_store import REFUSED, Bucket, ObjectStore

CONTENT = bytes(range(256)) * 5000


def refusal_of(
    file: StoredFile, act: Callable[[StoredFile], object] = lambda file: file.open().read()
) -> str:
    """What a user is told of a file that cannot be read."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 - any of them
        act(file)
    refusal = file.refusal(caught.value)
    assert isinstance(refusal, InputError)
    return str(refusal)


def size_in_another_process(file: StoredFile) -> int:
    return file.state().size


class TestAddresses:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("s3://b/a/k.csv", "s3://b/a/k.csv"),
            ("S3://b/a/k.csv?region=eu-west-1&scheme=http", "s3://b/a/k.csv"),
            ("s3://AKIA:se%2Fcret@b/k.csv", "s3://b/k.csv"),
            ("s3://b/part-?.csv", "s3://b/part-?.csv"),
            ("s3://b/part-?.csv?region=x", "s3://b/part-?.csv"),
            ("s3://b/a b#c@d%20e.csv", "s3://b/a b#c@d%20e.csv"),
            ("gs://anonymous@b/k", "gs://b/k"),
            ("abfs://c:key@a.dfs.core.windows.net/k", "abfs://c@a.dfs.core.windows.net/k"),
            ("abfss://a.blob.core.windows.net/c/k?client_secret=x", "abfss://a.blob.core.windows.net/c/k"),
            ("s3://AKIA:se/cret@b/k.csv", "s3://***"),
            ("a/path?region=x", "a/path?region=x"),
            ("delta:s3://AKIA:secret@b/k?region=x", "delta:s3://b/k"),
            ("delta:a/path@3", "delta:a/path@3"),
            ("mysql://me:secret@host/db?a=b", "mysql://me:***@host/db?a=b"),
        ],
    )
    def test_are_shown_without_options_and_credentials(self, text: str, shown: str) -> None:
        assert shown_address(text) == shown

    def test_hold_no_credentials_as_text(self) -> None:
        address = StoreAddress.parse("s3://AKIA:secret@b/k.csv?region=eu-west-1")
        assert "secret" not in f"{address} {address!r}"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (
                "ftp://host/k.csv",
                "ftp://: files cannot be read or written there.*Known: s3://, gs://, abfs://",
            ),
            ("s3:///k.csv", "s3://: no bucket is named.*s3://BUCKET/FOLDER"),
            ("s3://AKIA:se/cret@b/k", "cannot be read.*write / as %2F"),
        ],
    )
    def test_that_cannot_be_are_refused_with_what_to_write(self, text: str, said: str) -> None:
        with pytest.raises(ConfigurationError, match=f"(?s){said}") as caught:
            stored_file(text)
        assert "cret" not in str(caught.value)

    @pytest.mark.parametrize(
        "text",
        [
            "s3://AKIA:secret@b/k?colour=blue",
            "gs://b/k?x=secret",
            "abfs://c:secret@a.dfs.core.windows.net/k?x=1",
            "s3://u:secret@b b/k",
        ],
    )
    def test_that_pyarrow_refuses_say_why_without_credentials(self, text: str) -> None:
        with pytest.raises(ConfigurationError, match="the address cannot be used") as caught:
            stored_file(text).state()
        assert "secret" not in str(caught.value)

    def test_of_a_store_that_pyarrow_was_built_without_are_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class WithoutStores:
            @staticmethod
            def from_uri(uri: str) -> Any:
                raise pa.ArrowNotImplementedError(f"Got {uri} but Arrow compiled without it")

        monkeypatch.setattr(pyarrow.fs, "FileSystem", WithoutStores)
        with pytest.raises(
            ConfigurationError, match=r"(?s)gs://unknown/k: .* was built without gs://.*pip install"
        ):
            stored_file("gs://unknown/k").state()


class TestAStoredFile:
    @pytest.fixture(params=["local", "store"])
    def file(self, request: pytest.FixtureRequest, tmp_path: Path) -> StoredFile:
        if request.param == "local":
            path = tmp_path / "k.bin"
            path.write_bytes(CONTENT)
            return stored_file(str(path))
        bucket: Bucket = request.getfixturevalue("bucket")
        bucket.put("a/k.bin", CONTENT)
        return stored_file(f"{bucket.address}/a/k.bin")

    def test_is_read_whole_and_from_any_place(self, file: StoredFile) -> None:
        with file.open() as opened:
            assert opened.read(1000) == CONTENT[:1000]
            opened.seek(1_000_001)
            assert opened.read(5) == CONTENT[1_000_001:1_000_006]
            opened.seek(-3, 2)
            assert opened.read() == CONTENT[-3:]
            opened.seek(0)
            assert opened.read() == CONTENT
            assert opened.read(1) == b""

    def test_tells_its_length_and_its_suffixes(self, file: StoredFile) -> None:
        assert file.state().size == len(CONTENT)
        assert file.suffixes == [".bin"]

    def test_can_be_read_in_another_process(self, file: StoredFile) -> None:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.apply(size_in_another_process, (file,)) == len(CONTENT)


def test_other_content_of_the_same_length_is_another_version(bucket: Bucket) -> None:
    file = stored_file(f"{bucket.address}/k")
    bucket.put("k", b"one")
    before = file.state()
    assert file.state() == before
    # Within the second in which the first was written.
    bucket.put("k", b"two")
    assert file.state() != before


def test_an_endpoint_and_credentials_may_stand_in_the_address(
    object_store: ObjectStore, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in object_store.variables:
        monkeypatch.delenv(name)
    bucket.put("a b#c.csv", b"x")
    options = f"endpoint_override={object_store.endpoint}&scheme=http&region=us-east-1"
    file = stored_file(f"s3://a-key:a-secret@{bucket.name}/a b#c.csv?{options}")
    assert file.open().read() == b"x"
    assert str(file) == f"s3://{bucket.name}/a b#c.csv"


class TestRefusalsOfAStore:
    def test_name_an_object_that_is_not_there(self, bucket: Bucket) -> None:
        said = refusal_of(stored_file(f"{bucket.address}/a/no.csv"))
        assert said.startswith(f"{bucket.address}/a/no.csv: cannot be read: there is no such object")

    def test_name_a_bucket_that_is_not_there(self, bucket: Bucket) -> None:
        said = refusal_of(stored_file(f"{bucket.address}-no/k.csv"))
        assert f"there is no bucket {bucket.address}-no\nCheck its name" in said

    def test_name_the_variables_of_credentials_without_rights(
        self, object_store: ObjectStore, bucket: Bucket
    ) -> None:
        assert bucket.store == object_store
        forbidden = object_store.new_bucket("forbidden")
        said = refusal_of(stored_file(f"{forbidden.address}/k.csv"))
        assert "cannot be read: the store refuses: " in said
        assert "AWS_ACCESS_KEY_ID" in said

    def test_name_the_endpoint_when_nobody_answers(self, bucket: Bucket) -> None:
        file = stored_file(f"{bucket.address}/k?endpoint_override=127.0.0.1:9&scheme=http&region=r")
        said = refusal_of(file)
        assert "the store does not answer" in said
        assert "endpoint_override=HOST:PORT" in said

    def test_do_not_take_damaged_content_for_the_stores_fault(self, bucket: Bucket) -> None:
        bucket.put("k.parquet", b"PAR1 and no more than that PAR1")
        file = stored_file(f"{bucket.address}/k.parquet")
        with pytest.raises((OSError, ValueError)) as caught:
            pq.read_table(file.for_arrow())
        assert not isinstance(caught.value, OSError) or file.refusal(caught.value) is None


class TestListing:
    @pytest.fixture
    def filled(self, bucket: Bucket) -> Bucket:
        keys = [
            "d/b.csv",
            "d/a.csv",
            "d/sub/c.csv",
            "d/_x/d.csv",
            "d/.h/e.csv",
            "d/_f.csv",
            "d/.g.csv",
            "other.csv",
        ]
        for key in keys:
            bucket.put(key, b"1")
        # What consoles and other tools leave to stand for an empty folder.
        bucket.put("d/empty/", b"")
        return bucket

    def names(self, text: str) -> list[str]:
        listed = list_at(text)
        for found in listed:
            assert found.file.address.endswith(f"/{found.name}")
            assert found.file.open().read() == b"1"
        return [found.name for found in listed]

    @pytest.mark.parametrize("end", ["d", "d/"])
    def test_a_folder_is_all_below_it_but_hidden_names(self, filled: Bucket, end: str) -> None:
        assert self.names(f"{filled.address}/{end}") == ["a.csv", "b.csv", "sub/c.csv"]

    def test_a_bucket_is_a_folder(self, filled: Bucket) -> None:
        assert self.names(filled.address) == ["d/a.csv", "d/b.csv", "d/sub/c.csv", "other.csv"]

    def test_an_object_is_itself(self, filled: Bucket) -> None:
        assert self.names(f"{filled.address}/d/sub/c.csv") == ["c.csv"]

    @pytest.mark.parametrize(
        ("pattern", "names"),
        [
            ("d/*.csv", ["a.csv", "b.csv"]),
            ("d/*/*.csv", ["_x/d.csv", "sub/c.csv"]),
            ("d/[ab].csv", ["a.csv", "b.csv"]),
            ("d/?.csv", ["a.csv", "b.csv"]),
            ("d/**/*.csv", ["_x/d.csv", "a.csv", "b.csv", "sub/c.csv"]),
            ("*/sub/*", ["d/sub/c.csv"]),
        ],
    )
    def test_a_pattern_is_what_matches_it_here_as_on_a_disk(
        self, filled: Bucket, pattern: str, names: list[str]
    ) -> None:
        assert self.names(f"{filled.address}/{pattern}") == names

    @pytest.mark.parametrize(
        ("end", "said"),
        [
            ("/no", "no such object or folder"),
            ("/no/*.csv", "no such object or folder"),
            ("/d/*.parquet", "no file matches"),
            ("-no/*.csv", "no bucket"),
        ],
    )
    def test_nothing_there_is_an_error(self, filled: Bucket, end: str, said: str) -> None:
        with pytest.raises(InputError, match=said):
            list_at(f"{filled.address}{end}")


class TestWriting:
    @pytest.fixture
    def folder(self, bucket: Bucket) -> StoreFolder:
        return StoreFolder(StoreAddress.parse(f"{bucket.address}/f"))

    @pytest.mark.parametrize("size", [0, 5, 11 << 20])
    def test_an_object_has_all_that_was_written(
        self, bucket: Bucket, folder: StoreFolder, tmp_path: Path, size: int
    ) -> None:
        content = bytes(251) * (size // 251) + bytes(size % 251)
        with (tmp_path / "file").open("w+b") as file:
            file.write(content)
            folder.put_file("k", file)
        assert bucket.get("f/k") == content
        assert bucket.uploads() == []

    def test_an_upload_that_fails_half_way_leaves_no_object(
        self, bucket: Bucket, folder: StoreFolder
    ) -> None:
        with pytest.raises(InputError, match=f"f/{REFUSED}: cannot be written: the store refuses"):
            folder.put(REFUSED, bytes(11 << 20))
        assert bucket.keys() == []

    def test_what_is_not_there_is_removed_without_complaint(self, folder: StoreFolder) -> None:
        folder.remove("no")
        folder.remove_below("no")
        assert folder.entries() == {}
        assert folder.size_of("no") is None


def test_a_file_of_this_machine_needs_none_of_the_stores_libraries(tmp_path: Path) -> None:
    file = stored_file(str(tmp_path / "no.csv"))
    assert not isinstance(file, StoreFile)
    assert "No such file" in refusal_of(file)
