"""Fixtures of the requirement suite: the cluster that `verify` names."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import testinfra

from cluster.context import Context
from cluster.inventory import Node
from cluster.kubernetes.labels import namespace
from cluster.kubernetes.target import KubernetesTarget
from skillswap_ops.options import Selection
from skillswap_ops.wiring import context_of

HOME = "SKILLSWAP_OPS_VERIFY_HOME"
CLUSTER = "SKILLSWAP_OPS_VERIFY_CLUSTER"
TARGET = "SKILLSWAP_OPS_VERIFY_TARGET"

# The machine of a node: this one, or on Kubernetes its pod.
Machine = Callable[[Node], Any]


@pytest.fixture(scope="session")
def context() -> Context:
    """The provisioned cluster."""
    selection = Selection(
        topology=None,
        home=Path(os.environ[HOME]),
        cluster=os.environ[CLUSTER],
        target=os.environ.get(TARGET, "local"),
        output="table",
    )
    if selection.target == "kubernetes":
        selection = replace(selection, home=None, cluster=None)
    return context_of(selection, must_exist=True)


@pytest.fixture
def machine(context: Context, host: Any) -> Machine:
    """Where a node's files are: on this machine, or in its pod, by testinfra's kubectl backend."""
    if context.target.name != "kubernetes":
        return lambda _: host
    space = namespace(context.topology)
    return lambda node: testinfra.get_host(f"kubectl://{_pod(context, node)}?namespace={space}")


def _pod(context: Context, node: Node) -> str:
    """The node's pod; any of them, where a fleet is one node."""
    assert isinstance(context.target, KubernetesTarget)
    return context.target.pods(node)[0].name
