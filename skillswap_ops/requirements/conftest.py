"""Fixtures of the requirement suite: the cluster that `verify` names."""

import os
from pathlib import Path

import pytest

from cluster.context import Context
from skillswap_ops.options import Selection
from skillswap_ops.wiring import local_context

HOME = "SKILLSWAP_OPS_VERIFY_HOME"
CLUSTER = "SKILLSWAP_OPS_VERIFY_CLUSTER"


@pytest.fixture(scope="session")
def context() -> Context:
    """The provisioned cluster."""
    selection = Selection(
        topology=None,
        home=Path(os.environ[HOME]),
        cluster=os.environ[CLUSTER],
        target="local",
        output="table",
    )
    return local_context(selection, must_exist=True)
