"""MongoDB's download, against a web server of our own with a made-up archive."""

import hashlib
import io
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cluster.errors import MissingPrerequisiteError, OpsError, RefusedError, UnreachableError
from mongo.download import SITE_VARIABLE, Patience, fetch
from mongo.releases import PROGRAMS, VERSION, Release, installed_server, release_for

ADDRESS = "127.82.0.1"
ROOT = Path(__file__).parents[2]
RELEASE = Release("8.9.9", "x86_64", "debian12", "")
QUICK = Patience(answer=1, stall=1, total=5)
SCRIPT = b"#!/bin/sh\necho made up\n"


def archive(members: dict[str, bytes] | None = None, links: dict[str, str] | None = None) -> bytes:
    """A tarball as MongoDB's, with a script for each program, or of `members` and `links`."""
    if members is None:
        top = RELEASE.name
        members = {f"{top}/README": b"read me", f"{top}/bin/install_compass": b"#!/bin/false"}
        members |= {f"{top}/bin/{program}": SCRIPT for program in PROGRAMS}
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o4777
            tar.addfile(member, io.BytesIO(content))
        for name, leads_to in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, leads_to
            tar.addfile(member)
    return target.getvalue()


def pinned(content: bytes) -> Release:
    return replace(RELEASE, sha256=hashlib.sha256(content).hexdigest())


class Site(ThreadingHTTPServer):
    """Serves `content`; breaks off after `sent` bytes; counts what it was asked."""

    daemon_threads = True

    def __init__(self, content: bytes, sent: int | None = None, status: int = 200) -> None:
        super().__init__((ADDRESS, 0), Handler)
        self.content, self.sent, self.status = content, sent, status
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content[: self.server.sent])

    def log_message(self, *args: object) -> None:
        """Nothing."""


@contextmanager
def serving(content: bytes, sent: int | None = None, status: int = 200) -> Iterator[Site]:
    with Site(content, sent, status) as site:
        threading.Thread(target=partial(site.serve_forever, poll_interval=0.01)).start()
        try:
            yield site
        finally:
            site.shutdown()


def refused(kind: type[OpsError], release: Release, home: Path, url: str) -> str:
    """What `fetch` says when it fails as `kind`; nothing may be left behind."""
    with pytest.raises(kind) as caught:
        fetch(release, home, url, patience=QUICK)
    assert not home.exists() or list(home.iterdir()) == []
    return caught.value.message


def test_right_checksum_installs_both_programs_and_nothing_else(tmp_path: Path) -> None:
    content = archive()
    seen: list[tuple[int, int | None]] = []
    with serving(content) as site:
        folder = fetch(
            pinned(content),
            tmp_path / "deep/home",
            site.url,
            progress=lambda received, expected: seen.append((received, expected)),
        )
        assert site.asked == [f"/linux/{RELEASE.name}.tgz"]
    assert folder == tmp_path / "deep/home/8.9.9/bin"
    assert sorted(file.name for file in folder.iterdir()) == ["mongod", "mongos"]
    assert {oct(file.stat().st_mode & 0o7777) for file in folder.iterdir()} == {"0o755"}
    assert [file.name for file in (tmp_path / "deep/home").iterdir()] == ["8.9.9"]
    assert installed_server([tmp_path, tmp_path / "deep/home"], "8.9.9") == folder
    assert seen[-1] == (len(content), len(content))


def test_second_call_asks_nobody(tmp_path: Path) -> None:
    content = archive()
    with serving(content) as site:
        first = fetch(pinned(content), tmp_path, site.url)
        before = (first / "mongod").stat()
        assert fetch(pinned(content), tmp_path, site.url) == first
        assert len(site.asked) == 1
    assert fetch(pinned(content), tmp_path, "http://unused.invalid") == first
    assert (first / "mongod").stat() == before


def test_half_a_server_is_replaced(tmp_path: Path) -> None:
    content = archive()
    (tmp_path / "8.9.9/bin").mkdir(parents=True)
    (tmp_path / "8.9.9/bin/mongod").write_text("half")
    (tmp_path / ".part-killed/server").mkdir(parents=True)
    with serving(content) as site:
        folder = fetch(pinned(content), tmp_path, site.url)
    assert (folder / "mongod").read_bytes() == SCRIPT
    assert [file.name for file in tmp_path.iterdir()] == ["8.9.9"]


def test_wrong_checksum(tmp_path: Path) -> None:
    content = archive()
    with serving(content + b"!") as site:
        message = refused(RefusedError, pinned(content), tmp_path, site.url)
    assert pinned(content).sha256 in message
    assert pinned(content + b"!").sha256 in message


def test_cut_off_in_the_middle(tmp_path: Path) -> None:
    content = archive()
    half = len(content) // 2
    with serving(content, sent=half) as site:
        message = refused(UnreachableError, pinned(content), tmp_path, site.url)
    assert f"{half} of {len(content)} bytes" in message


def test_not_found(tmp_path: Path) -> None:
    with serving(b"no such file", status=404) as site:
        assert "404" in refused(UnreachableError, RELEASE, tmp_path, site.url)


@contextmanager
def listening(backlog: int = 5) -> Iterator[socket.socket]:
    with closing(socket.create_server((ADDRESS, 0), backlog=backlog)) as server:
        yield server


def timed_refusal(home: Path, url: str) -> tuple[float, str]:
    start = time.monotonic()
    message = refused(UnreachableError, RELEASE, home, url)
    return time.monotonic() - start, message


def test_accepts_and_is_silent(tmp_path: Path) -> None:
    with listening() as server:
        seconds, message = timed_refusal(tmp_path, f"http://{ADDRESS}:{server.getsockname()[1]}")
    assert seconds < QUICK.total
    assert "did not answer within 1 s" in message


def test_connection_is_never_answered(tmp_path: Path) -> None:
    """A full backlog drops new connections, as a firewall does."""
    with listening(backlog=0) as server:
        first = socket.create_connection(server.getsockname())
        with closing(first):
            seconds, _ = timed_refusal(tmp_path, f"http://{ADDRESS}:{server.getsockname()[1]}")
    assert seconds < QUICK.total


def test_refused_connection(tmp_path: Path) -> None:
    with listening() as server:
        port = server.getsockname()[1]
    seconds, message = timed_refusal(tmp_path, f"http://{ADDRESS}:{port}")
    assert seconds < QUICK.total
    assert "refused" in message


def test_name_service_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_up = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: given_up.wait(30) and [])
    seconds, message = timed_refusal(tmp_path, "https://mirror.invalid")
    given_up.set()
    assert seconds < QUICK.total
    assert "mirror.invalid did not answer" in message


def test_stalls_after_the_first_bytes(tmp_path: Path) -> None:
    """The connection stays open, and nothing more comes."""
    with listening() as server:

        def answer() -> None:
            peer, _ = server.accept()
            with peer:
                peer.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 999999\r\n\r\nbegins")
                peer.recv(65_536)
                peer.recv(1)  # until the other side gives up

        threading.Thread(target=answer, daemon=True).start()
        seconds, message = timed_refusal(tmp_path, f"http://{ADDRESS}:{server.getsockname()[1]}")
    assert seconds < QUICK.total
    assert "broke off after 6 bytes" in message


def test_slower_than_is_worth_waiting_for(tmp_path: Path) -> None:
    class Hurried:
        """Every look at the clock is two seconds later."""

        now = 0.0

        def monotonic(self) -> float:
            self.now += 2
            return self.now

        def sleep(self, seconds: float) -> None:
            raise AssertionError

    content = archive()
    patience = replace(QUICK, total=1)
    with serving(content) as site, pytest.raises(UnreachableError, match="not whole within 1 s"):
        fetch(pinned(content), tmp_path, site.url, patience=patience, clock=Hurried())
    assert list(tmp_path.iterdir()) == []


ESCAPED = Path(tempfile.gettempdir(), "escaped-from-an-archive")


@pytest.mark.parametrize(
    ("members", "links"),
    [
        ({"../../escaped": b"x", f"../{RELEASE.name}/bin/mongod": SCRIPT}, {}),
        ({str(ESCAPED): b"x"}, {}),
        ({f"{RELEASE.name}/bin/mongod": SCRIPT}, {f"{RELEASE.name}/bin/mongos": "/bin/sh"}),
        ({f"{RELEASE.name}/bin/mongod": SCRIPT, "elsewhere/bin/mongos": SCRIPT}, {}),
    ],
    ids=["traversal", "absolute", "link", "other folder"],
)
def test_archive_that_leads_elsewhere(
    tmp_path: Path, members: dict[str, bytes], links: dict[str, str]
) -> None:
    content = archive(members, links)
    before = set(tmp_path.iterdir())
    with serving(content) as site:
        message = refused(RefusedError, pinned(content), tmp_path / "home", site.url)
    assert "bin/mongos" in message
    assert set(tmp_path.iterdir()) - before == {tmp_path / "home"}
    assert not ESCAPED.exists()


def test_archive_that_is_none(tmp_path: Path) -> None:
    content = b"<html>Sign in to this network</html>"
    with serving(content) as site:
        assert "cannot be read" in refused(RefusedError, pinned(content), tmp_path, site.url)


def test_programs_that_do_not_run_here(tmp_path: Path) -> None:
    broken = b"#!/bin/sh\necho no AVX >&2\nexit 132\n"
    content = archive({f"{RELEASE.name}/bin/{name}": broken for name in PROGRAMS})
    with serving(content) as site:
        message = refused(MissingPrerequisiteError, pinned(content), tmp_path, site.url)
    assert message == "mongod 8.9.9 does not run on this machine: no AVX"


@pytest.mark.parametrize(
    ("machine", "system", "version", "build"),
    [
        ("x86_64", "debian", "12", "x86_64-debian12"),
        ("x86_64", "debian", "", "x86_64-debian12"),
        ("x86_64", "ubuntu", "22.04", "x86_64-ubuntu2204"),
        ("x86_64", "ubuntu", "24.04", "x86_64-ubuntu2404"),
        ("x86_64", "ubuntu", "26.04", "x86_64-ubuntu2404"),
        ("aarch64", "debian", "13", "aarch64-ubuntu2204"),
        ("aarch64", "ubuntu", "24.04", "aarch64-ubuntu2404"),
        ("riscv64", "debian", "13", None),
        ("x86_64", "fedora", "44", None),
    ],
)
def test_release_for(machine: str, system: str, version: str, build: str | None) -> None:
    release = release_for(machine, system, version)
    assert (release and f"{release.machine}-{release.build}") == build


def command(home: Path, site: str) -> "subprocess.CompletedProcess[str]":
    """What `./bootstrap` runs, with nothing but the standard library, as an ordinary user would."""
    code = (
        "import os, sys, pathlib; os.geteuid = lambda: 1000; import mongo.download, mongo.releases;"
        "mongo.releases.ROOT_HOME = pathlib.Path('/nowhere'); sys.exit(mongo.download.main())"
    )
    return subprocess.run(
        [sys.executable, "-S", "-B", "-c", code],
        cwd=ROOT,
        env={**os.environ, "XDG_DATA_HOME": str(home), SITE_VARIABLE: site},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_command_says_why_not_in_one_line(tmp_path: Path) -> None:
    with serving(archive()) as site:
        ended = command(tmp_path, site.url)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "SHA-256" in ended.stderr
    assert "is empty: nothing is downloaded" in command(tmp_path, "").stderr
    assert "must begin with https://" in command(tmp_path, "file:///etc").stderr


def made_up_server(home: Path, version: str) -> Path:
    folder = home / "skillswap-ops/mongodb" / version / "bin"
    folder.mkdir(parents=True)
    for program in PROGRAMS:
        (folder / program).write_bytes(SCRIPT)
        (folder / program).chmod(0o755)
    return folder


def test_command_says_where_it_is(tmp_path: Path) -> None:
    folder = made_up_server(tmp_path, VERSION)
    ended = command(tmp_path, "http://unused.invalid")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{folder}\n", "")


def test_an_older_server_does_until_the_pinned_one_can_be_had(tmp_path: Path) -> None:
    made_up_server(tmp_path, "8.0.9")
    newest = made_up_server(tmp_path, "8.0.10")
    made_up_server(tmp_path, "8.0.31").joinpath("mongos").unlink()
    ended = command(tmp_path, "")
    assert (ended.returncode, ended.stdout) == (0, f"{newest}\n")
    assert f"no MongoDB {VERSION}: " in ended.stderr
