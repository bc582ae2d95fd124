"""What a person would script by hand: three etcd, three Patroni. Shares no code of ours."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

PATRONI = """
scope: bare
name: bare{number}
restapi: {{listen: '{address}:8008', connect_address: '{address}:8008'}}
etcd3: {{hosts: ['{network}.1:2379', '{network}.2:2379', '{network}.3:2379']}}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 2
    retry_timeout: 5
    synchronous_mode: true
    postgresql: {{use_pg_rewind: true}}
  initdb: [{{encoding: UTF8}}, data-checksums]
  pg_hba: ['host all all 127.0.0.0/8 trust', 'host replication all 127.0.0.0/8 trust']
postgresql:
  listen: '{address}:5432'
  connect_address: '{address}:5432'
  data_dir: {folder}/pg{number}
  bin_dir: {binaries}
  pgpass: {folder}/pgpass{number}
  authentication:
    superuser: {{username: postgres, password: bare}}
    replication: {{username: replicator, password: bare}}
  parameters: {{unix_socket_directories: ''}}
"""


class BarePatroni:
    """Three etcd and three Patroni on `<network>.1` to `.3`; gone when the block ends."""

    def __init__(self, network: str, binaries: Path) -> None:
        self._network = network
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="sso-bare-"))
        self._processes: list[subprocess.Popen[bytes]] = []
        self._user = pwd.getpwnam("skillswap").pw_uid if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self._folder, self._user, -1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGKILL)
        for pid_file in self._folder.glob("pg*/postmaster.pid"):
            os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
        for process in self._processes:
            process.wait()
        time.sleep(0.5)  # PostgreSQL's children notice their postmaster's end by themselves
        shutil.rmtree(self._folder, ignore_errors=True)

    def start_and_wait(self, within: float = 120) -> None:
        """Start all six; returns when a leader, a synchronous standby and a replica stream."""
        cluster = ",".join(f"e{n}=http://{self._network}.{n}:2380" for n in (1, 2, 3))
        for number in (1, 2, 3):
            self._etcd(number, cluster)
        for number in (1, 2, 3):
            self._patroni(number)
        deadline = time.monotonic() + within
        while not self._whole():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not whole within {within} s: see {self._folder}")
            time.sleep(0.1)

    def _etcd(self, number: int, cluster: str) -> None:
        client = f"http://{self._network}.{number}:2379"
        peer = f"http://{self._network}.{number}:2380"
        self._spawn(
            "etcd",
            "--name",
            f"e{number}",
            "--data-dir",
            str(self._folder / f"etcd{number}"),
            "--listen-client-urls",
            client,
            "--advertise-client-urls",
            client,
            "--listen-peer-urls",
            peer,
            "--initial-advertise-peer-urls",
            peer,
            "--initial-cluster",
            cluster,
        )

    def _patroni(self, number: int) -> None:
        config = self._folder / f"patroni{number}.yml"
        config.write_text(
            PATRONI.format(
                number=number,
                address=f"{self._network}.{number}",
                network=self._network,
                folder=self._folder,
                binaries=self._binaries,
            )
        )
        self._spawn(str(Path(sys.executable).parent / "patroni"), str(config))

    def _spawn(self, *argv: str) -> None:
        log = (self._folder / f"log{len(self._processes)}").open("wb")
        with log:
            self._processes.append(
                subprocess.Popen(argv, stdout=log, stderr=log, cwd=self._folder, user=self._user)
            )

    def _whole(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self._network}.1:8008/cluster", timeout=1) as got:
                members = json.load(got)["members"]
        except (urllib.error.URLError, OSError, ValueError, KeyError):
            return False
        roles = sorted(m["role"] for m in members if m["state"] in {"running", "streaming"})
        return roles == ["leader", "replica", "sync_standby"]
