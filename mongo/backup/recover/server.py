"""A server over the copy, for as long as a step of the recovery takes."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from cluster.clock import SYSTEM_CLOCK, wait_for
from cluster.errors import OpsError, UnreachableError
from mongo.backup.recover.model import Job
from mongo.client import Document, knock_at, open_client
from mongo.credentials import Login

START_SECONDS = 3600.0  # a replay of hours of oplog happens before it listens
STOP_SECONDS = 600.0
ANSWER_SECONDS = 600.0
PR_SET_PDEATHSIG = 1
LOG = "mongod.log"
# Without these it would change what was restored, by itself.
STILL = (
    "ttlMonitorEnabled=false",
    "disableLogicalSessionCacheRefresh=true",
    "diagnosticDataCollectionEnabled=false",
)
# Replays from `appliedThrough`, then stays read-only; its last checkpoint holds all of it.
REPLAY = (
    "recoverFromOplogAsStandalone=true",
    "takeUnstableCheckpointOnShutdown=true",
    "startupRecoveryForRestore=true",
)


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def standalone(job: Job, key: str, *, replay: bool = False) -> Iterator["MongoClient[Document]"]:
    """The server runs, outside of any replica set, and is stopped cleanly at the end."""
    log = Path(job.folder) / LOG
    with log.open("ab") as output:
        process = subprocess.Popen(
            _argv(job, replay=replay),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - there are no threads here
        )
    try:
        wait_for(
            f"{job.replica_set}'s copy",
            lambda: _answers(job, process, log),
            seconds=START_SECONDS,
            every=0.05,
            clock=SYSTEM_CLOCK,
        )
        login = Login("__system", SecretStr(key), "local")
        client = open_client(
            [f"{job.address}:{job.port}"],
            login,
            ANSWER_SECONDS,
            job.trust,
            directConnection=True,
        )
        try:
            yield client
        except PyMongoError as error:
            raise OpsError(f"{job.replica_set}'s copy: {error}") from error
        finally:
            client.close()
    except BaseException:
        process.kill()
        raise
    else:
        process.terminate()
    finally:
        code = process.wait(STOP_SECONDS)
    if code:
        raise OpsError(f"{job.replica_set}'s copy ended with code {code}", f"see {log}")


def _argv(job: Job, *, replay: bool) -> list[str]:
    parameters = (*STILL, *(REPLAY if replay else ()))
    return [
        job.mongod,
        *("--dbpath", f"{job.folder}/data", "--bind_ip", job.address, "--port", str(job.port)),
        *_tls(job),
        *("--keyFile", job.keyfile, "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"),
        *(word for each in parameters for word in ("--setParameter", each)),
    ]


def _tls(job: Job) -> tuple[str, ...]:
    if not job.tls:
        return ()
    files = ("--tlsCertificateKeyFile", job.tls, "--tlsCAFile", job.trust)
    return ("--tlsMode", "requireTLS", *files, "--tlsAllowConnectionsWithoutCertificates")


def _answers(job: Job, process: "subprocess.Popen[bytes]", log: Path) -> bool:
    if process.poll() is not None:
        raise OpsError(
            f"{job.replica_set}'s copy cannot be opened: {_last_words(log)}", f"see {log}"
        )
    try:
        knock_at(job.address, job.port, 1.0)
    except UnreachableError:
        return False
    return True


def _last_words(log: Path) -> str:
    """The last error in the log, in its own words."""
    lines = log.read_text("utf-8", "replace").splitlines()
    errors = [line for line in lines if '"s":"F"' in line or '"s":"E"' in line]
    return (errors or lines or ["it said nothing"])[-1][:300]


def parent_lives() -> None:
    """Raises SystemExit where the process that started this one is gone already."""
    if os.getppid() == 1:
        raise SystemExit(1)
