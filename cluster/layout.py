"""Where everything of one cluster lives: one folder, the same below it on every target."""

from dataclasses import dataclass
from pathlib import Path

from cluster.inventory import Node

AUDIT = "audit.log"


@dataclass(frozen=True)
class Layout:
    """Paths below `root`, the cluster's folder. Nothing is created here."""

    root: Path

    def node(self, node: Node) -> Path:
        """The node's folder, the working directory of its servers."""
        return self.root / "nodes" / node.name

    def conf(self, node: Node) -> Path:
        """Rendered configuration files of the node's servers."""
        return self.node(node) / "conf"

    def data(self, node: Node) -> Path:
        """The node's data."""
        return self.node(node) / "data"

    def run(self, node: Node) -> Path:
        """Sockets of the node's servers."""
        return self.node(node) / "run"

    def wal(self, node: Node) -> Path:
        """PostgreSQL's WAL, where it has a volume of its own (`postgres.wal_volume`)."""
        return self.node(node) / "wal"

    def log(self, server: str) -> Path:
        """What a server printed."""
        return self.root / "logs" / f"{server}.log"

    @property
    def archive(self) -> Path:
        """The default folder of WAL and backups."""
        return self.root / "archive"

    @property
    def mongo_backups(self) -> Path:
        """The default folder of MongoDB's snapshots and oplog archive."""
        return self.root / "backups"

    @property
    def secrets(self) -> Path:
        """Generated passwords and keys."""
        return self.root / "secrets"

    @property
    def authority(self) -> Path:
        """The certificate that clients trust: of the cluster's own authority."""
        return self.root / "ca.crt"

    @property
    def supervisor(self) -> Path:
        """supervisord's configuration, socket and log."""
        return self.root / "supervisor"

    @property
    def drills(self) -> Path:
        """Evidence of drill runs, and the journal of open faults."""
        return self.root / "drills"

    @property
    def releases(self) -> Path:
        """Which services are deployed, in which revisions."""
        return self.root / "services.json"

    @property
    def images(self) -> Path:
        """The code of deployed services, a folder a version."""
        return self.root / "images"

    @property
    def topology(self) -> Path:
        """The topology that was last provisioned."""
        return self.root / "topology.yaml"

    @property
    def audit(self) -> Path:
        """The book of changing commands."""
        return self.root / AUDIT

    @property
    def lock(self) -> Path:
        """Held by every command that changes the cluster."""
        return self.root / "lock"


@dataclass(frozen=True)
class PodLayout(Layout):
    """Paths on the Kubernetes target: `root` is the tool's own state, `pod` a folder in each pod.

    A pod has one node, so that the node's folder is `pod` itself. What clients trust is mounted at
    one place in the servers' pods and in the tool's.
    """

    pod: Path = Path("/skillswap")

    def node(self, node: Node) -> Path:  # noqa: ARG002 - every pod's is the same
        """The folder of the pod's only node."""
        return self.pod

    @property
    def archive(self) -> Path:
        """Where the archive's volume is mounted."""
        return self.pod / "archive"

    @property
    def mongo_backups(self) -> Path:
        """Where the volume of MongoDB's repository is mounted."""
        return self.pod / "backups"

    @property
    def authority(self) -> Path:
        """The certificate that clients trust, alone in its folder."""
        return self.pod / "trust" / "ca.crt"
