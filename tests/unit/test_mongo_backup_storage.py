"""Where backups are kept, and the folder that is kept: the same of a folder and of a bucket."""

import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from cluster.errors import OpsError, UnreachableError
from mongo.backup import packing
from mongo.backup.s3 import S3, Bucket
from mongo.backup.sealing import DamagedError
from mongo.backup.storage import PART, Folder, Storage

BUCKET = Bucket("https://s3.amazonaws.com", "backups", "us-east-1", "/lab/mongo", "key", "secret")


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    if request.param == "folder":
        yield Folder(tmp_path)
        return
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="backups")
        yield S3(BUCKET)


def put(storage: Storage, key: str, data: bytes) -> None:
    file = io.BytesIO(data)
    file.read()  # it is kept from its beginning, wherever the writer has come to
    storage.put(key, file)
    assert not file.closed


def got(storage: Storage, key: str) -> bytes:
    with storage.open(key) as file:
        return file.read()


def test_what_is_kept_is_listed_in_order_and_read(storage: Storage) -> None:
    put(storage, "oplog/0001/b/2", b"two")
    put(storage, "oplog/0001/b/1", b"one")
    put(storage, "oplog/0001/bb/1", b"other")
    put(storage, "snapshots/x/manifest.json", b"")
    found = storage.list("oplog/0001/b/")
    assert [(one.key, one.size) for one in found] == [("oplog/0001/b/1", 3), ("oplog/0001/b/2", 3)]
    assert got(storage, "oplog/0001/b/2") == b"two"


def test_what_is_written_again_is_replaced(storage: Storage) -> None:
    put(storage, "a/b", b"one")
    put(storage, "a/b", b"two")
    assert got(storage, "a/b") == b"two"


def test_large_objects_go_in_parts(storage: Storage) -> None:
    data = os.urandom(9 << 20)
    put(storage, "a/large", data)
    assert got(storage, "a/large") == data


def test_what_is_deleted_is_gone_and_may_be_deleted_again(storage: Storage) -> None:
    put(storage, "a/b", b"x")
    storage.delete(["a/b"])
    storage.delete(["a/b"])
    assert storage.list("a/") == ()
    with pytest.raises(OpsError):
        storage.open("a/b")
    storage.sweep()


def test_nothing_is_listed_where_nothing_is(storage: Storage) -> None:
    assert storage.list("oplog/0001/a/") == ()


def test_a_write_that_was_cut_off_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / f"{PART}half").write_bytes(b"x")
    assert Folder(tmp_path).list("a/") == ()


def test_a_bucket_that_does_not_answer_is_said_to() -> None:
    nowhere = Bucket("https://127.0.0.1:1", "backups", "us-east-1", "/", "key", "secret")
    with pytest.raises(UnreachableError, match="does not answer"):
        S3(nowhere).list("")


# A folder as a stream


def make(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def held(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


NAMES = st.sampled_from(["WiredTiger", "journal/WiredTigerLog.1", "a.wt", "x/y/z.wt"])
CONTENTS = st.one_of(st.binary(max_size=2000), st.integers(0, 3 << 20).map(lambda n: b"\0" * n))


@given(st.dictionaries(NAMES, CONTENTS))
def test_a_folder_comes_back_as_it_was(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        source, copied, unpacked = (Path(name) / each for each in ("s", "c", "u"))
        source.mkdir()
        make(source, files)
        copied.mkdir()
        assert packing.copy(source, copied) == sum(map(len, files.values()))
        unpacked.mkdir()
        packing.unpack(packing.pack(copied), unpacked)
        assert held(unpacked) == files


def test_what_belongs_to_a_running_server_is_left_out(tmp_path: Path) -> None:
    make(
        tmp_path,
        {
            "mongod.lock": b"1",
            "diagnostic.data/metrics": b"2",
            "rollback/uuid/removed.bson": b"3",
            "journal/WiredTigerPreplog.0000000001": b"4",
            "a.wt": b"5",
        },
    )
    assert packing.files(tmp_path) == (Path("a.wt"),)


def test_a_stream_that_ends_early_is_damaged(tmp_path: Path) -> None:
    make(tmp_path / "s", {"a.wt": os.urandom(5000)})
    whole = b"".join(packing.pack(tmp_path / "s"))
    (tmp_path / "u").mkdir()
    with pytest.raises(DamagedError):
        packing.unpack([whole[:3000]], tmp_path / "u")
