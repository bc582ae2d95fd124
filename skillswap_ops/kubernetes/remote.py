"""A command that needs the cluster's network is run inside of it, by the tool's own pod there.

Its words, its answer and its exit code are the same; stdout and stderr stay apart.
"""

import secrets
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TextIO

import click

from cluster.errors import OpsError, UnreachableError
from cluster.kubernetes.api import Api
from cluster.kubernetes.labels import INSTANCE
from manifests.kubernetes.operations import CONSOLE, DRILL_JOB, PROOF_JOB, TOOL_CONTAINER
from skillswap_ops import console
from skillswap_ops.kubernetes.client import JOB_LABEL, cluster_api, wait_for_job
from skillswap_ops.options import Selection, confirm
from skillswap_ops.wiring import home_folder, selected_topology

# Options that say which cluster: the pod knows only one, and has its own state.
PLACES = frozenset({"--topology", "-f", "--home", "--cluster", "--state"})
LONGEST_SECONDS = 4 * 3600.0
BREAKING = frozenset({("drill", "run"), ("drill", "heal")})
# A pod of their own, as the CronJob of that name makes it, with rights or programs of its own.
AS_JOB = {**dict.fromkeys(BREAKING, DRILL_JOB), ("backup", "prove"): PROOF_JOB}


def delegate(selection: Selection, words: Sequence[str]) -> int:
    """Run the command in the cluster; its exit code. Raises UnreachableError: no pod to run it."""
    topology = selected_topology(selection, home_folder(selection.home))
    api = cluster_api(topology)
    if tuple(words[:2]) in AS_JOB:
        return run_job(api, inside_words(words))
    argv = ["skillswap-ops", *inside_words(words)]
    return api.converse(
        console_pod(api),
        TOOL_CONTAINER,
        argv,
        out=_to(sys.stdout),
        err=_to(sys.stderr),
        seconds=LONGEST_SECONDS,
    )


def run_job(api: Api, words: Sequence[str]) -> int:
    """Run a drill, or a proof, as a Job of its own, which can what the console cannot; its code.

    It goes on where this side is cut off; `drill report` has its evidence.
    """
    chosen = (words[0], words[1])
    if chosen in BREAKING and not {"--yes", "-y"} & set(words):
        confirm("This breaks the cluster on purpose, or mends it. Go on?", yes=False)
        words = [*words, "--yes"]
    kind = AS_JOB[chosen]
    name = f"{kind}-{secrets.token_hex(4)}"
    api.start_job(kind, name, ["skillswap-ops", *words])
    console.say(f"job {name}")
    with suppress(OpsError):  # its exit code says more
        wait_for_job(api, name, click.echo, LONGEST_SECONDS)
    codes = [pod.exit_code for pod in api.pods({JOB_LABEL: name}) if pod.exit_code is not None]
    if not codes:
        raise UnreachableError(f"job {name} has not ended", f"look at `logs {name}`")
    return codes[-1]


def console_pod(api: Api) -> str:
    """The tool's pod in the cluster."""
    for pod in api.pods({INSTANCE: CONSOLE}):
        if pod.running and pod.ready:
            return pod.name
    raise UnreachableError(
        f"no pod of {CONSOLE} is ready in {api.namespace}",
        "`provision --target kubernetes` makes it; `logs` says why it is not",
    )


def inside_words(words: Sequence[str]) -> list[str]:
    """The words without what says where the cluster is."""
    kept: list[str] = []
    skip = False
    for word in words:
        name, equals, _ = word.partition("=")
        if skip:
            skip = False
        elif name in PLACES:
            skip = not equals
        elif not word.startswith("-f") or word.startswith("--"):
            kept.append(word)
    return kept


def _to(stream: TextIO) -> Callable[[str], None]:
    def write(text: str) -> None:
        stream.write(text)
        stream.flush()

    return write
