"""Recover one set: `python -m mongo.backup.recover FILE`; what it came to is printed as JSON."""

import os
import shutil
import sys
from pathlib import Path

from cluster.errors import OpsError
from mongo.backup import packing, sealing
from mongo.backup.recover.model import KEYFILE_TEXT, PLACE, Job, Outcome
from mongo.backup.recover.replay import check, replay, settle
from mongo.backup.recover.server import die_with_parent, parent_lives
from mongo.backup.sealing import DamagedError, Sealer
from mongo.backup.settings import Place
from mongo.backup.storage import Storage


def main() -> int:
    """Returns the exit code."""
    die_with_parent()
    parent_lives()
    job = Job.model_validate_json(Path(sys.argv[1]).read_bytes())
    place = Place.model_validate_json(os.environ.pop(PLACE))
    key = os.environ.pop(KEYFILE_TEXT)
    try:
        outcome = _recover(job, key, place.storage(), place.sealer())
    except OpsError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    except DamagedError as error:
        sys.stderr.write(f"the repository is damaged: {error}\n")
        return 1
    sys.stdout.write(outcome.model_dump_json() + "\n")
    return 0


def _recover(job: Job, key: str, storage: Storage, sealer: Sealer) -> Outcome:
    if job.decided is not None:
        return settle(job, key, job.decided)
    check(job, storage, sealer)
    data = Path(job.folder) / "data"
    if data.exists():  # of a try that was cut off
        shutil.rmtree(data)
    data.mkdir(mode=0o700)
    size = _unpack(job.snapshot, storage, sealer, data)
    outcome = replay(job, key, storage, sealer)
    return outcome.model_copy(update={"bytes": outcome.bytes + size})


def _unpack(key: str, storage: Storage, sealer: Sealer, data: Path) -> int:
    try:
        with storage.open(key) as source:
            header, pieces = sealing.read(sealer, source)
            size = packing.unpack(pieces, data)
    except DamagedError as error:
        raise DamagedError(f"{key}: {error}") from error
    if header.get("of") != key:
        raise DamagedError(f"{key}: it is another one than its name says")
    return size


if __name__ == "__main__":
    sys.exit(main())
