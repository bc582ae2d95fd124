"""What is asked of the local object store, asserted on the live topology."""

import ssl
from datetime import UTC, datetime
from http.client import HTTPSConnection

import pytest

from cluster import objects
from cluster.certificates import Authority
from cluster.context import Context
from cluster.inventory import Node
from manifests.objects import missing

DAYS_LEFT = 14


@pytest.fixture
def store(context: Context) -> Node:
    """The store's node."""
    node = objects.store(context)
    if node is None:
        pytest.skip("objects.members is 0")
    return node


def test_buckets(context: Context, store: Node) -> None:
    """The object store has every bucket that the archive and the services need (TP3 §5)."""
    assert not missing(context, store), "the store was restarted, and has lost what was in it"


def test_object_store_speaks_tls_of_the_authority(context: Context, store: Node) -> None:
    """The object store speaks TLS by a certificate of the cluster's authority, in time."""
    trusted = ssl.create_default_context(cafile=str(Authority(context.layout).certificate_file()))
    connection = HTTPSConnection(store.address, objects.PORT, timeout=5, context=trusted)
    connection.request("GET", "/")
    status = connection.getresponse().status
    connection.close()
    assert status == 403, f"a request without the key is answered {status}"
    validity = Authority(context.layout).validity(store.name)
    assert validity is not None
    assert validity.days(datetime.now(UTC)) > DAYS_LEFT
