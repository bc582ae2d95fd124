"""MongoDB's own server with `mongos`, from its download site: pinned, verified, or not at all.

Only the standard library is used: `./bootstrap` runs this before anything is installed. A machine
that does not reach the site is told so within seconds and uses the server of the `mongod` extra,
an old one without `mongos` that is for labs only.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from cluster.clock import SYSTEM_CLOCK, Clock
from cluster.errors import MissingPrerequisiteError, OpsError, RefusedError, UnreachableError
from mongo.releases import (
    PROGRAMS,
    VERSION,
    Release,
    installed_server,
    release_for,
    server_homes,
)

DEFAULT_SITE = "https://fastdl.mongodb.org"
SITE_VARIABLE = "SKILLSWAP_OPS_MONGODB_SITE"

_CHUNK = 1 << 20
_TRYOUT_SECONDS = 20

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Patience:
    """How long a network may take, in seconds.

    `answer` covers everything before the first byte: name, connection, TLS, the server's thinking.
    """

    answer: float = 3
    stall: float = 15
    total: float = 900


PATIENCE = Patience()


def fetch(
    release: Release,
    home: Path,
    site: str = DEFAULT_SITE,
    *,
    patience: Patience = PATIENCE,
    progress: Progress | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Path:
    """Put the release's programs at `<home>/<version>/bin`, whole or not at all; return the folder.

    Does nothing where they are there already. Raises UnreachableError where the site does not
    answer, answers otherwise than with the archive, or breaks off; RefusedError for an archive
    that is not the pinned one; MissingPrerequisiteError where the programs do not run here.
    """
    if found := installed_server([home], release.version):
        return found
    url = release.url(site)
    with _answer(url, patience) as response:
        home.mkdir(parents=True, exist_ok=True)
        with _alone_in(home):
            if found := installed_server([home], release.version):
                return found
            with tempfile.TemporaryDirectory(prefix=".part-", dir=home) as part:
                archive, server = Path(part, "archive.tgz"), Path(part, "server")
                digest = _save(response, archive, url, patience, progress, clock)
                if digest != release.sha256:
                    raise RefusedError(
                        f"{url}: SHA-256 is {digest}, and must be {release.sha256}",
                        f"it is not the release that we know: see where {SITE_VARIABLE} leads",
                    )
                _unpack(archive, release, server / "bin")
                _try_out(server / "bin", release)
                shutil.rmtree(home / release.version, ignore_errors=True)  # half of one, by hand
                server.rename(home / release.version)
    return home / release.version / "bin"


def _answer(url: str, patience: Patience) -> HTTPResponse:
    """The site's answer, its body unread. A thread asks: name look-ups know no time limit."""
    answers: SimpleQueue[HTTPResponse | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(urlopen(url, timeout=patience.stall))  # noqa: S310 (checked below)
        except (OSError, HTTPException, ValueError) as error:
            answers.put(error)

    site = urlsplit(url)
    if site.scheme not in {"http", "https"}:
        raise UnreachableError(f"{SITE_VARIABLE}: must begin with https:// or http:// (got {url})")
    Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=patience.answer)
    except Empty:
        raise UnreachableError(
            f"{site.netloc} did not answer within {patience.answer:g} s"
        ) from None
    if isinstance(answer, Exception):
        reason = answer.reason if type(answer) is URLError else answer
        raise UnreachableError(f"{url}: {reason}") from answer
    return answer


def _save(
    response: HTTPResponse,
    path: Path,
    url: str,
    patience: Patience,
    progress: Progress | None,
    clock: Clock,
) -> str:
    """Write the body to `path` and return its SHA-256."""
    expected, received, digest = response.length, 0, hashlib.sha256()
    deadline = clock.monotonic() + patience.total
    try:
        with path.open("wb") as file:
            while chunk := response.read1(_CHUNK):
                received += file.write(chunk)
                digest.update(chunk)
                if progress:
                    progress(received, expected)
                if clock.monotonic() > deadline:
                    raise UnreachableError(f"{url}: not whole within {patience.total:g} s")
    except (OSError, HTTPException) as error:
        raise UnreachableError(f"{url}: broke off after {received} bytes: {error}") from error
    if expected is not None and received != expected:
        raise UnreachableError(f"{url}: broke off after {received} of {expected} bytes")
    return digest.hexdigest()


def _unpack(archive: Path, release: Release, folder: Path) -> None:
    """Write the programs to `folder`.

    Only the content of two regular files with known names is read; paths, links, owners and modes
    of the archive are used for nothing, so no member can lead elsewhere. (Debian 12's tarfile has
    no extraction filters.)
    """
    folder.mkdir(parents=True)
    wanted = {f"{release.name}/bin/{program}": program for program in PROGRAMS}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                source = tar.extractfile(member) if member.isreg() else None
                if source is None or member.name not in wanted:
                    continue
                _write_program(folder / wanted.pop(member.name), source.read)
                if not wanted:
                    return
    except (tarfile.TarError, EOFError, OSError) as error:
        raise RefusedError(f"{archive.name} of {release.name} cannot be read: {error}") from error
    raise RefusedError(f"{release.name}.tgz has no {' and no '.join(sorted(wanted))}")


def _write_program(path: Path, read: Callable[[int], bytes]) -> None:
    with path.open("xb") as file:
        while chunk := read(_CHUNK):
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(0o755)


def _try_out(folder: Path, release: Release) -> None:
    """Run each program once: MongoDB 5 and later need AVX, and libraries that may be missing."""
    for program in PROGRAMS:
        try:
            ran = subprocess.run(
                [folder / program, "--version"],
                capture_output=True,
                text=True,
                timeout=_TRYOUT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = str(error)
        else:
            if ran.returncode == 0:
                continue
            said = ran.stderr.strip().splitlines()
            reason = said[-1] if said else f"exit code {ran.returncode}"
        raise MissingPrerequisiteError(
            f"{program} {release.version} does not run on this machine: {reason}",
            "MongoDB 8.0 needs a processor with AVX, libcurl 4 and OpenSSL 3",
        )


@contextmanager
def _alone_in(home: Path) -> Iterator[None]:
    """Hold `home` alone, and clear away what a killed run left there."""
    handle = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        for left in home.glob(".part-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        os.close(handle)


def _bar(release: Release, clock: Clock = SYSTEM_CLOCK) -> Progress:
    """Progress on a terminal's one line, five times a second at most."""
    due = clock.monotonic()

    def show(received: int, expected: int | None) -> None:
        nonlocal due
        if clock.monotonic() >= due or received == expected:
            due = clock.monotonic() + 0.2
            of = f" of {expected >> 20}" if expected else ""
            end = "\n" if received == expected else ""
            sys.stderr.write(f"\rMongoDB {release.version}: {received >> 20}{of} MB{end}")
            sys.stderr.flush()

    return show


def _obtain(environ: Mapping[str, str], homes: Sequence[Path]) -> Path:
    if found := installed_server(homes, VERSION):
        return found
    site = environ.get(SITE_VARIABLE, DEFAULT_SITE)
    if not site:
        raise RefusedError(f"{SITE_VARIABLE} is empty: nothing is downloaded")
    system = platform.freedesktop_os_release()
    release = release_for(platform.machine(), system["ID"], system.get("VERSION_ID", ""))
    if release is None:
        raise MissingPrerequisiteError(f"not built for {system['ID']} on {platform.machine()}")
    bar = _bar(release) if sys.stderr.isatty() else None
    return fetch(release, homes[0], site, progress=bar)


def main() -> int:
    """Say where a downloaded server is, fetched now if need be; say why there is none, return 1."""
    root = os.geteuid() == 0
    if root:
        os.umask(0o022)  # servers run as another user
    homes = server_homes(os.environ, root=root)
    try:
        folder: Path | None = _obtain(os.environ, homes)
    except OpsError as error:
        sys.stderr.write(f"no MongoDB {VERSION}: {error.message}\n")
        folder = installed_server(homes)
    if folder is None:
        return 1
    sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
