"""The effective configuration, read from every server of the real cluster."""

import json

import pytest

import mongo.effective
import postgres.effective
from cluster.drill.publish.mask import Mask
from tests.conftest import Lab

pytestmark = pytest.mark.servers


def masked(lab: Lab, texts: dict[str, str]) -> dict[str, str]:
    mask = Mask(secret.get_secret_value() for secret in lab.context.secrets.known())
    return {name: mask.text(text) for name, text in texts.items()}


def test_mongodb_tells_its_configuration_and_no_secret(shared_lab: Lab) -> None:
    found = dict(mongo.effective.configuration(shared_lab.context))
    assert not [text for text in found.values() if text.startswith("not read")]
    shard = json.loads(found["shard-a/replSetGetConfig.json"])["config"]
    assert shard["settings"]["electionTimeoutMillis"] == 5000
    assert json.loads(found["getDefaultRWConcern.json"])["defaultWriteConcern"]["w"] == "majority"
    assert "replElectionTimeoutOffsetLimitFraction" in found["shard-a-1/getParameter.json"]
    assert {"config-1/getCmdLineOpts.json", "shard-b-3/getCmdLineOpts.json"} <= found.keys()
    assert masked(shared_lab, found) == found


def test_postgresql_and_its_edge_tell_their_configuration(shared_lab: Lab) -> None:
    found = dict(postgres.effective.configuration(shared_lab.context))
    assert not [text for text in found.values() if text.startswith("not read")]
    assert json.loads(found["payments/patroni-dynamic.json"])["ttl"] == 20
    standbys = [found[f"{node}/pg_settings.txt"] for node in ("pg1", "pgsync1")]
    assert any("primary_conninfo = " in text for text in standbys)
    assert all("password=" not in text for text in standbys)
    assert "scram-sha-256" in found["pg1/pg_hba.txt"]
    assert "has a leader: true" in found["etcd-1/status.txt"]
    assert "auth_type" in found["pg1/pgbouncer.ini"]
    assert "http_auth_pass" in found["haproxy-1/haproxy.cfg"]
    assert masked(shared_lab, found) == found
