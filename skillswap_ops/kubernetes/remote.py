"""A command that needs the cluster's network is run inside of it, by the tool's own pod there.

Its words, its answer and its exit code are the same; stdout and stderr stay apart.
"""

import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from cluster.errors import UnreachableError
from cluster.kubernetes.api import Api
from cluster.kubernetes.labels import INSTANCE
from manifests.kubernetes.operations import CONSOLE, TOOL_CONTAINER
from skillswap_ops.kubernetes.client import cluster_api
from skillswap_ops.options import Selection
from skillswap_ops.wiring import home_folder, selected_topology

# Options that say which cluster: the pod knows only one, and has its own state.
PLACES = frozenset({"--topology", "-f", "--home", "--cluster", "--state"})
LONGEST_SECONDS = 4 * 3600.0


def delegate(selection: Selection, words: Sequence[str]) -> int:
    """Run the command in the cluster; its exit code. Raises UnreachableError: no pod to run it."""
    topology = selected_topology(selection, home_folder(selection.home))
    api = cluster_api(topology)
    argv = ["skillswap-ops", *inside_words(words)]
    return api.converse(
        console_pod(api),
        TOOL_CONTAINER,
        argv,
        out=_to(sys.stdout),
        err=_to(sys.stderr),
        seconds=LONGEST_SECONDS,
    )


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
