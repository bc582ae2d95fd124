"""A program's output, byte for byte, over the WebSocket protocol that Kubernetes speaks.

The client is the real one; the other side is a server that answers as a kubelet does: frames that
begin with their channel's number, and a status when the program has ended.
"""

import io
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kubernetes import client
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from cluster.clock import SYSTEM_CLOCK
from cluster.errors import OpsError, UnreachableError
from cluster.inventory import Kind, Node
from cluster.kubernetes.api import Api, PodState
from cluster.kubernetes.scripts import pack, unpack
from cluster.kubernetes.target import KubernetesTarget
from mongo.backup import packing

OUT, STATUS = b"\x01", b"\x03"
SUCCESS = b'{"metadata":{},"status":"Success"}'
FAILURE = b"""{"metadata":{},"status":"Failure","reason":"NonZeroExitCode",
"details":{"causes":[{"reason":"ExitCode","message":"2"}]}}"""
PROTOCOL = Subprotocol("v4.channel.k8s.io")
NODE = Node("shard-a-2", Kind.SHARD, "shard-a", "eu-west", "eu-west-b", "shard-a-2.shard-a")
POD = PodState(
    "shard-a-2", "u", "Running", True, "m2", "10.0.0.2", {}, 0, "", "r", False, ("mongod",)
)


class OnePod(Api):
    """The API of a cluster with one pod."""

    def pod(self, name: str) -> PodState | None:
        return POD if name == POD.name else None


@contextmanager
def kubelet(output: bytes, status: bytes, asked: list[str]) -> Iterator[Api]:
    """An API whose exec prints this, in frames of odd sizes, then ends so."""

    def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        asked.append(connection.request.path)
        for start in range(0, len(output), 65_521):
            connection.send(OUT + output[start : start + 65_521])
        if status:
            connection.send(STATUS + status)

    with serve(handle, "127.0.0.1", 0, subprotocols=[PROTOCOL]) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            port = server.socket.getsockname()[1]
            settings = client.Configuration(host=f"http://127.0.0.1:{port}")
            yield OnePod("skillswap", client.ApiClient(settings))
        finally:
            server.shutdown()
            thread.join()


def data_folder(root: Path) -> Path:
    """Something that looks like a member's, with every byte there is."""
    folder = root / "data"
    (folder / "journal").mkdir(parents=True)
    (folder / "diagnostic.data").mkdir()
    (folder / "collection-1.wt").write_bytes(bytes(range(256)) * 4096)
    (folder / "journal" / "WiredTigerLog.0000000001").write_bytes(b"\0\xff\xc3(" * 50_000)
    (folder / "journal" / "WiredTigerPreplog.0000000001").write_bytes(b"\0" * 1000)
    (folder / "diagnostic.data" / "metrics").write_bytes(b"m")
    (folder / "mongod.lock").write_text("1")
    return folder


def tar_of(folder: Path) -> bytes:
    """As the pod's tar prints it."""
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w") as archive:
        archive.add(folder, arcname=".")
    return into.getvalue()


def empty(root: Path, name: str) -> Path:
    """A folder to put things into."""
    folder = root / name
    folder.mkdir()
    return folder


def test_a_folder_comes_byte_for_byte(tmp_path: Path) -> None:
    folder, into = data_folder(tmp_path), empty(tmp_path, "copy")
    asked: list[str] = []
    with kubelet(tar_of(folder), SUCCESS, asked) as api:
        target = KubernetesTarget(api, SYSTEM_CLOCK)
        target.fetch(NODE, Path("/skillswap/data"), into, packing.PATTERNS)
    for name in packing.files(folder):
        assert (into / name).read_bytes() == (folder / name).read_bytes()
    assert "container=mongod" in asked[0]
    assert "command=--exclude%3Dmongod.lock" in asked[0]


def test_what_tar_leaves_out_is_what_a_local_copy_leaves_out(tmp_path: Path) -> None:
    """The patterns, with the real tar on both sides."""
    folder, into, beside = data_folder(tmp_path), empty(tmp_path, "a"), empty(tmp_path, "b")
    stream = subprocess.run(pack(str(folder), packing.PATTERNS), check=True, capture_output=True)
    subprocess.run(unpack(str(into)), check=True, input=stream.stdout)
    packing.copy(folder, beside)
    found = {path.relative_to(into) for path in into.rglob("*") if path.is_file()}
    assert found == {path.relative_to(beside) for path in beside.rglob("*") if path.is_file()}
    assert len(found) == 2


@pytest.mark.parametrize(
    ("status", "error"), [(FAILURE, OpsError), (b"", UnreachableError), (b"{", UnreachableError)]
)
def test_half_a_folder_is_none(tmp_path: Path, status: bytes, error: type[Exception]) -> None:
    """Neither where tar failed, nor where the connection was cut off before it ended."""
    into = empty(tmp_path, "copy")
    with kubelet(tar_of(data_folder(tmp_path)), status, []) as api, pytest.raises(error):
        KubernetesTarget(api, SYSTEM_CLOCK).fetch(NODE, Path("/d"), into, ())


def test_a_stream_that_ends_in_the_middle_is_none(tmp_path: Path) -> None:
    whole = tar_of(data_folder(tmp_path))
    into = empty(tmp_path, "copy")
    with kubelet(whole[: len(whole) // 2], SUCCESS, []) as api, pytest.raises(OpsError):
        KubernetesTarget(api, SYSTEM_CLOCK).fetch(NODE, Path("/d"), into, ())


def test_pieces_are_passed_on_as_they_come() -> None:
    pieces: list[int] = []
    with kubelet(b"x" * 3_000_000, SUCCESS, []) as api:
        code = api.download("p", "c", ["cat"], lambda piece: pieces.append(len(piece)), 60)
    assert (code, sum(pieces)) == (0, 3_000_000)
    assert max(pieces) <= 65_521, "what waits in memory is one frame"
