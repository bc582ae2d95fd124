"""Archive every set's oplog, a thread a set, until SIGTERM: then what is waiting is kept too."""

import argparse
import logging
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from cluster.errors import OpsError
from cluster.files import write_atomic
from mongo.backup.archiver.config import ArchiverConfig, Followed, SetState, State, load
from mongo.backup.archiver.follower import Follower
from mongo.backup.archiver.tail import SECONDS, Tail, now
from mongo.backup.sealing import DamagedError
from mongo.backup.stamps import Stamp
from mongo.client import open_client
from mongo.credentials import Login

POLL_SECONDS = 0.5
TROUBLE_SECONDS = 2.0
log = logging.getLogger("archiver")


class Archiver:
    """All sets, and the file that says how far each is."""

    def __init__(self, config: ArchiverConfig) -> None:
        self._config = config
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._states: dict[str, SetState] = {}

    def stop(self) -> None:
        """End soon."""
        self._stop.set()

    def run(self) -> None:
        """Until `stop`."""
        threads = [
            threading.Thread(target=self._follow, args=(one,), name=one.name)
            for one in self._config.sets
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _follow(self, followed: Followed) -> None:
        config = self._config
        login = Login(config.user, SecretStr(config.password))
        client = open_client(followed.hosts, login, SECONDS, config.trust, replicaSet=followed.name)
        storage, sealer = config.place.storage(), config.place.sealer()
        follower = Follower(
            followed.name, Tail(followed.name, client), storage, sealer, config.slice, now
        )
        try:
            while not self._stop.is_set():
                self._stop.wait(self._step(followed.name, follower))
            follower.flush()
            self._tell(followed.name, follower, "")
        except OpsError as error:
            log.warning("%s: at the end: %s", followed.name, error.message)
        finally:
            client.close()

    def _step(self, name: str, follower: Follower) -> float:
        """One step; seconds until the next."""
        try:
            more = follower.step()
        except (OpsError, DamagedError) as error:
            text = error.message if isinstance(error, OpsError) else f"its archive: {error}"
            self._tell(name, follower, text)
            return TROUBLE_SECONDS
        except Exception as error:
            log.exception("%s", name)
            self._tell(name, follower, f"{type(error).__name__}: {error}")
            return TROUBLE_SECONDS
        self._tell(name, follower, "")
        return 0.0 if more else POLL_SECONDS

    def _tell(self, name: str, follower: Follower, trouble: str) -> None:
        with self._lock:
            before = self._states.get(name)
            state = follower.state or before
            if state is None:
                state = SetState(last=Stamp(0, 0), covered=datetime.fromtimestamp(0, UTC))
            self._states[name] = state.model_copy(update={"trouble": trouble})
            if trouble and (before is None or before.trouble != trouble):
                log.warning("%s: %s", name, trouble)
            if state.gap and (before is None or before.gap != state.gap):
                log.error("%s: the archive has a gap %s", name, state.gap)
            text = State(history=follower.history, sets=self._states).model_dump_json()
            write_atomic(self._config.state, text)


def main() -> int:
    """Serve; returns the exit code."""
    arguments = argparse.ArgumentParser(prog="python -m mongo.backup.archiver", description=__doc__)
    arguments.add_argument("--config", type=Path, required=True, metavar="FILE")
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout
    )
    try:
        archiver = Archiver(load(arguments.parse_args().config))
    except OpsError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: archiver.stop())
    archiver.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
