"""A real kube-apiserver over a real etcd, without any machine: objects are kept, nothing runs.

KUBEBUILDER_ASSETS names a folder with both programs, as controller-runtime's envtest has it.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3
import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from cluster.clock import SYSTEM_CLOCK, wait_for

ASSETS = "KUBEBUILDER_ASSETS"
PROGRAMS = ("kube-apiserver", "etcd")
READY_SECONDS = 120
TOKEN = "a-token-of-this-test-alone"


def missing() -> str:
    """Why there is none; "" if there is."""
    folder = os.environ.get(ASSETS)
    if not folder:
        return f"{ASSETS} is not set"
    absent = [name for name in PROGRAMS if not (Path(folder) / name).exists()]
    return f"{folder} has no {', '.join(absent)}" if absent else ""


@dataclass(frozen=True)
class Server:
    """A running API server."""

    url: str
    kubeconfig: Path
    connection: client.ApiClient
    version: str


@contextmanager
def running() -> Iterator[Server]:
    """Start both programs; they end with the block."""
    folder = Path(tempfile.mkdtemp(prefix="sso-api-"))
    processes: list[subprocess.Popen[bytes]] = []
    try:
        etcd, peer, port = (_free_port() for _ in range(3))
        processes.append(_start("etcd", folder, *_etcd(folder, etcd, peer)))
        processes.append(_start("kube-apiserver", folder, *_api_server(folder, etcd, port)))
        yield _connected(folder, port, processes)
    finally:
        for process in reversed(processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(folder)


def _start(name: str, folder: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    program = str(Path(os.environ[ASSETS]) / name)
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen([program, *arguments], stdout=log, stderr=log, cwd=folder)


def _etcd(folder: Path, port: int, peer: int) -> tuple[str, ...]:
    url, other = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer}"
    return (
        f"--data-dir={folder}/etcd",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={other}",
        f"--initial-advertise-peer-urls={other}",
        f"--initial-cluster=default={other}",
        "--unsafe-no-fsync",
    )


def _api_server(folder: Path, etcd: int, port: int) -> tuple[str, ...]:
    key = folder / "accounts.key"
    command = ["openssl", "genrsa", "-out", str(key), "2048"]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "tokens.csv").write_text(f'{TOKEN},admin,1,"system:masters"\n')
    return (
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={folder}/certificates",
        f"--token-auth-file={folder}/tokens.csv",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://test",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-cluster-ip-range=10.0.0.0/24",
        # Nobody makes the default service accounts here.
        "--disable-admission-plugins=ServiceAccount",
    )


def _connected(folder: Path, port: int, processes: "list[subprocess.Popen[bytes]]") -> Server:
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(_kubeconfig(port), "utf-8")
    settings = client.Configuration()
    config.load_kube_config(str(kubeconfig), client_configuration=settings)
    settings.retries = False
    connection = client.ApiClient(settings)

    def ready() -> bool:
        for process in processes:
            log = folder / f"{Path(str(process.args[0])).name}.log"  # type: ignore[index]
            assert process.poll() is None, log.read_text()[-3000:]
        try:
            client.CoreV1Api(connection).read_namespace("default", _request_timeout=2)
        except (ApiException, urllib3.exceptions.HTTPError):
            return False
        return True

    wait_for("the API server", ready, seconds=READY_SECONDS, clock=SYSTEM_CLOCK)
    version = client.VersionApi(connection).get_code().git_version
    return Server(f"https://127.0.0.1:{port}", kubeconfig, connection, version)


def _kubeconfig(port: int) -> str:
    cluster = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
