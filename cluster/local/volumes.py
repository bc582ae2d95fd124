"""Volumes of a server's own, so that one can be full while the machine's disk is not.

Each is an ext4 image below the cluster's folder, where only root can put another in its place. The
mount is gone after a reboot; `provision` brings it back.
"""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from cluster.clock import Clock, wait_for
from cluster.errors import MissingPrerequisiteError, OpsError, RefusedError, UnreachableError
from cluster.inventory import Node
from cluster.layout import Layout
from cluster.local.users import RunAs
from cluster.server import Server, Volume
from cluster.target import Hit

BALLAST = ".ballast"
KEPT = frozenset({BALLAST, "lost+found"})
MEBIBYTE = 1024**2
BIGGEST_STEP = 1024**3
BLOCK = 4096
PROBES = (1, 8192)  # bytes; a page of PostgreSQL's WAL is the larger
TOOL_SECONDS = 120
UNMOUNT_SECONDS = 10
NO_VOLUME = "filling a volume needs one of its own: `postgres.wal_volume` in the topology, as root"


def check_volumes(servers: Iterable[Server]) -> None:
    """Raises MissingPrerequisiteError where servers want volumes that cannot be made here."""
    wanted = [server for server in servers if server.volumes]
    if not wanted:
        return
    what = f"{wanted[0].name} wants a volume of its own"
    if os.geteuid() != 0:
        raise MissingPrerequisiteError(
            f"{what}, and only root can mount one",
            "run as root, or take `postgres.wal_volume` out of the topology",
        )
    for program, package in (("mkfs.ext4", "e2fsprogs"), ("mount", "mount"), ("umount", "mount")):
        if _program(program) is None:
            raise MissingPrerequisiteError(
                f"{what}, and there is no {program}", f"install {package}"
            )
    if not Path("/dev/loop-control").exists():
        raise MissingPrerequisiteError(
            f"{what}, and there are no loop devices",
            "load the module `loop`; a container must be given /dev/loop-control",
        )


def image(layout: Layout, node: Node, volume: Volume) -> Path:
    """The file that is mounted as a node's volume."""
    return layout.root / "volumes" / f"{node.name}-{volume.name}.img"


def is_mounted(folder: Path) -> bool:
    """Whether something is mounted there."""
    return folder in _mounts()


def provide(layout: Layout, node: Node, volume: Volume, user: RunAs) -> None:
    """Make the volume if there is none, and mount it. Idempotent, also where it was cut off."""
    folder, file = layout.node(node) / volume.name, image(layout, node, volume)
    if not file.exists():
        file.parent.mkdir(mode=0o700, exist_ok=True)
        _make(file, volume.mebibytes * MEBIBYTE)
    if not is_mounted(folder):
        folder.mkdir(exist_ok=True)
        _run("mount", "-o", "loop,noatime,nosuid,nodev", str(file), str(folder))
    folder.chmod(0o700)
    os.chown(folder, user.uid, user.gid)


def unmount_all(root: Path, clock: Clock) -> None:
    """Unmount whatever is mounted below a folder. Raises UnreachableError where one is in use."""
    for folder in sorted(_mounts_below(root), reverse=True):
        wait_for(
            f"unmounting {folder}",
            partial(_unmounted, folder),
            seconds=UNMOUNT_SECONDS,
            clock=clock,
        )


def discard(layout: Layout, node: Node, clock: Clock) -> None:
    """Unmount a node's volumes, and remove them. Idempotent. Raises as `unmount_all`."""
    unmount_all(layout.node(node), clock)
    image(layout, node, Volume(layout.wal(node).name, 0)).unlink(missing_ok=True)


def lacks(root: Path) -> str:
    """Why no volume of this cluster can be filled; "" if one can."""
    return "" if _mounts_below(root) else NO_VOLUME


class Filling:
    """What makes a local target `CanFill`. Needs volumes, and they need root."""

    layout: Layout
    _clock: Clock

    def fill(self, node: Node, folder: Path) -> Hit:
        """Fill the node's own volume that holds `folder`, until not one byte more can be written.

        Raises RefusedError where it is the disk of others too.
        """
        volume = self._own_volume(node, folder)
        size = _fill(volume / BALLAST)
        at = self._clock.monotonic()
        refused = [count for count in PROBES if _is_full(volume, count)]
        if refused != list(PROBES):
            raise OpsError(f"{volume} is not full: {PROBES[0]} byte could still be written")
        return Hit(
            at,
            f"{size // MEBIBYTE} MiB of ballast on {volume.name} of {node.name}: writes of "
            f"{' and '.join(map(str, refused))} bytes fail with ENOSPC",
        )

    def drain(self, node: Node, folder: Path) -> None:
        """Give the space back."""
        try:
            volume = self._own_volume(node, folder)
        except RefusedError:
            return  # never filled, or not mounted
        (volume / BALLAST).unlink(missing_ok=True)

    def _own_volume(self, node: Node, folder: Path) -> Path:
        own = self.layout.node(node)
        inside = [path for path in (folder, *folder.parents) if path.is_relative_to(own)]
        mounted = next((path for path in inside if path.is_mount()), None)
        if mounted is None or mounted.stat().st_dev == self.layout.root.stat().st_dev:
            raise RefusedError(
                f"{folder} is not on a volume of its own: filling it would fill the whole disk",
                "set `postgres.wal_volume` in the topology of a new cluster",
            )
        return mounted


def _make(path: Path, size: int) -> None:
    half = path.with_name(f"{path.name}.new")
    try:
        with half.open("wb") as file:
            half.chmod(0o600)
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise OpsError(f"{half} cannot be made: {error.strerror}", "free some disk") from error
    # No blocks for root alone: the server's user must find the volume exactly as full as we do.
    _run("mkfs.ext4", "-q", "-F", "-m", "0", "-i", "65536", "-E", "nodiscard", str(half))
    half.rename(path)


def _fill(ballast: Path) -> int:
    """Fill the volume with this file; returns the file's size in bytes."""
    with ballast.open("ab", buffering=0) as file:
        handle, step = file.fileno(), BIGGEST_STEP
        while step >= BLOCK:
            size = os.fstat(handle).st_size
            if not _fits(partial(os.posix_fallocate, handle, size, step)):
                step //= 2
        for rest in (BLOCK, 1):
            while _fits(partial(file.write, b"\0" * rest)):
                pass
        os.fsync(handle)
        return os.fstat(handle).st_size


def _fits(write: Callable[[], object]) -> bool:
    try:
        write()
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return False
        raise
    return True


def _is_full(volume: Path, count: int) -> bool:
    """Whether a write of so many bytes into a new file fails for want of space."""
    probe = volume / f"{BALLAST}-probe"
    try:
        with probe.open("wb", buffering=0) as file:
            file.write(b"\0" * count)
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno == errno.ENOSPC
    finally:
        probe.unlink(missing_ok=True)
    return False


def _mounts() -> frozenset[Path]:
    lines = Path("/proc/self/mounts").read_text("utf-8").splitlines()
    return frozenset(Path(line.split()[1].replace("\\040", " ")) for line in lines)


def _mounts_below(root: Path) -> Sequence[Path]:
    return [path for path in _mounts() if path != root and path.is_relative_to(root)]


def _unmounted(folder: Path) -> bool:
    try:
        _run("umount", str(folder))
    except OpsError as error:
        if is_mounted(folder):
            raise UnreachableError(error.message, error.hint) from error
    return True


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def _run(name: str, *arguments: str) -> None:
    program = _program(name)
    if program is None:
        raise MissingPrerequisiteError(f"there is no {name} on this machine")
    ended = subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=TOOL_SECONDS, check=False
    )
    if ended.returncode:
        raise OpsError(f"{name}: {(ended.stderr or ended.stdout).strip()[:300]}")
