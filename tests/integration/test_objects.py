"""The object store: TLS, its door, and that provision heals what its death took along."""

import json
import ssl

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from cluster import objects
from manifests.objects import servers
from postgres import backup, patroni
from postgres.scopes import primary_scope
from tests.conftest import Lab

pytestmark = pytest.mark.servers


def test_only_who_has_the_key_comes_in_and_by_tls(shared_lab: Lab) -> None:
    context = shared_lab.context
    place = objects.files(context)
    assert place is not None
    trusted = ssl.create_default_context(cafile=str(context.layout.authority))
    assert httpx.get(place.url, verify=trusted).status_code == 403
    assert httpx.post(f"{place.url}/moto-api/reset", verify=trusted).status_code == 403
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(place.url)

    def client(key: str):  # type: ignore[no-untyped-def]
        return boto3.client(
            "s3",
            endpoint_url=place.url,
            region_name=place.region,
            aws_access_key_id=key,
            aws_secret_access_key=place.key.secret.get_secret_value(),
            verify=str(context.layout.authority),
        )

    found = client(place.key.key.get_secret_value()).list_buckets()["Buckets"]
    assert {row["Name"] for row in found} == {"skillswap-media", "skillswap-archive"}
    with pytest.raises(ClientError, match="AccessDenied"):
        client("another").list_buckets()


def test_endpoints_mask_the_keys(shared_lab: Lab) -> None:
    rows = shared_lab.json("endpoints")
    assert isinstance(rows, list)
    [row] = [row for row in rows if row["name"] == "objects"]
    key = objects.local_key(shared_lab.context)
    assert "***:***@" in row["uri"]
    for secret in (key.key, key.secret):
        assert secret.get_secret_value() not in json.dumps(rows)


def test_after_kill_9_provision_makes_buckets_stanza_and_backup_again(shared_lab: Lab) -> None:
    context = shared_lab.context
    leader = patroni.leader_of(primary_scope(context))
    assert backup.repositories(context, leader).without("full") == ()
    [moto, _] = servers(context)
    context.target.kill([moto])
    rows = shared_lab.json("status", code=1)
    assert isinstance(rows, dict)
    assert [row["health"] for row in rows["nodes"] if row["node"] == "objects-1"] == ["down"]
    shared_lab.run("provision")
    after = backup.repositories(context, leader)
    assert after.exists
    assert after.without("full") == ()
    backup.check(context, leader)
    verified = shared_lab.run("verify", "-k", "object or archive or backup").stdout
    assert "✘" not in verified
    assert "nothing to change" in shared_lab.run("provision").stderr
