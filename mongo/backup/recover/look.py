"""What a restored copy holds: `python -m mongo.backup.recover.look FILE DATABASE COLLECTION`.

The integer ids of a collection go to the file `ids.bin` beside the copy, 8 bytes each.
"""

import os
import sys
from array import array
from pathlib import Path

from cluster.errors import OpsError
from mongo.backup.recover.model import KEYFILE_TEXT, Job
from mongo.backup.recover.server import die_with_parent, parent_lives, standalone

IDS = "ids.bin"


def main() -> int:
    """Returns the exit code."""
    die_with_parent()
    parent_lives()
    job = Job.model_validate_json(Path(sys.argv[1]).read_bytes())
    key = os.environ.pop(KEYFILE_TEXT)
    try:
        with standalone(job, key) as client:
            rows = client[sys.argv[2]][sys.argv[3]].find({"_id": {"$type": "number"}}, {"_id": 1})
            ids = array("q", (int(row["_id"]) for row in rows))
    except OpsError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    Path(job.folder, IDS).write_bytes(ids.tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
