"""What an instance reads: secrets only in the file, wrong fields by name."""

import json
from pathlib import Path

import pytest

from cluster.errors import InvalidInputError
from manifests.services import settings

PASSWORD = "not-to-be-shown"
DATA: dict[str, object] = {
    "service": "auth",
    "instance": "auth-1",
    "version": "1.0.0",
    "host": "127.0.0.1",
    "jwt": {"active": "k1", "keys": {"k1": PASSWORD * 3}},
    "mongo": {"hosts": ["127.0.0.1:27017"], "user": "app", "password": PASSWORD},
}


def refused(**changes: object) -> str:
    with pytest.raises(InvalidInputError) as refusal:
        settings.parse(DATA | changes, "auth.json")
    assert refusal.value.exit_code == 2
    assert PASSWORD not in refusal.value.message
    return refusal.value.message


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    read = settings.parse(DATA, "auth.json")
    file = tmp_path / "auth.json"
    file.write_text(read.to_json(), "utf-8")
    assert settings.load(file) == read
    assert PASSWORD in file.read_text("utf-8")


def test_secrets_are_in_no_other_dump() -> None:
    read = settings.parse(DATA, "auth.json")
    for text in (read.model_dump_json(), repr(read), str(read), json.dumps(repr(read.jwt))):
        assert PASSWORD not in text


def test_wrong_fields_are_named() -> None:
    assert refused(port=0) == "auth.json: port: must be at least 1 (got 0)"
    assert 'did you mean "port"?' in refused(prot=1)
    assert refused(mongo={"hosts": ["x"], "user": "a", "password": PASSWORD}) == (
        'auth.json: mongo.hosts[0]: must be host:port (got "x")'
    )


def test_a_short_signing_key_is_refused_and_not_shown() -> None:
    message = refused(jwt={"active": "k1", "keys": {"k1": PASSWORD}})
    assert message == "auth.json: jwt.keys.k1: must have at least 32 bytes (RFC 7518 §3.2)"


def test_the_active_key_must_be_there() -> None:
    assert "active must name one of keys" in refused(
        jwt={"active": "k2", "keys": {"k1": PASSWORD * 3}}
    )


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "auth.json"
    with pytest.raises(InvalidInputError, match="No such file"):
        settings.load(file)
    file.write_text("{", "utf-8")
    with pytest.raises(InvalidInputError, match="is not JSON"):
        settings.load(file)
