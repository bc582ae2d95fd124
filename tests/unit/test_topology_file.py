"""The loader: what is said of bad files, and that good ones come back as they were."""

import json
import os
import re
from ipaddress import IPv4Network
from itertools import pairwise
from pathlib import Path

import pytest

from cluster.errors import InvalidInputError
from cluster.topology import PATTERNS, Topology
from cluster.topology_file import (
    SHIPPED,
    dump_topology,
    load_topology,
    parse_topology,
    topology_schema,
)
from tests.unit.topology_samples import bad_topologies, changed, errors, topology

BAD = bad_topologies()
TEXT = SHIPPED.read_text("utf-8")


def with_(old: str, new: str) -> str:
    assert TEXT.count(old) == 1
    return TEXT.replace(old, new)


@pytest.mark.parametrize(("edits", "said"), BAD, ids=[" ".join(edits) for edits, _ in BAD])
def test_a_bad_field_is_named_with_its_reason_and_value(
    edits: dict[str, object], said: list[str]
) -> None:
    assert errors(changed(edits)) == said


def test_the_table_has_many_kinds() -> None:
    assert len({said[0] for _, said in BAD}) > 140


BAD_TEXTS = {
    "empty": ("", "bad: is empty"),
    "only a comment": ("# later\n", "bad: is empty"),
    "null": ("~\n", "bad: is empty"),
    "a list": ("- a\n", "bad: must be a mapping of the topology's fields (got a list)"),
    "a word": ("hello", 'bad: must be a mapping of the topology\'s fields (got "hello")'),
    "two documents": (
        f"{TEXT}---\n{TEXT}",
        "bad:65: must be one YAML document, without a second `---`",
    ),
    "a field twice": (f"{TEXT}name: other\n", "bad:65: name: is given twice (first on line 4)"),
    "an inner field twice": (
        with_("  routers: 2\n", "  routers: 2\n  routers: 3\n"),
        "bad:22: mongo.routers: is given twice (first on line 21)",
    ),
    "a tab": (
        "version: 1\n\tname: x\n",
        "bad:2: a tab cannot indent or separate in YAML: use spaces",
    ),
    "an open list": (
        "regions: [a, b\n",
        "bad:2: is not valid YAML: expected ',' or ']', but got '<stream end>'",
    ),
    "two colons": (
        "name: a: b\n",
        "bad:1: is not valid YAML: mapping values are not allowed here",
    ),
    "an open quote": ('name: "a\n', "bad:2: is not valid YAML: found unexpected end of stream"),
    "a NUL": ("a: 1\nname: a\x00b\n", "bad:2: has a character that is not text (U+0000)"),
    "an escape": ("name: \x1b[31m\n", "bad:1: has a character that is not text (U+001B)"),
    "half a character": (
        with_("name: skillswap", 'name: "\\ud800"'),
        "bad:4: name: has a character that is not text",
    ),
    "half a character in a key": (
        f'{TEXT}"\\ud800": 1\n',
        "bad:65: has a character that is not text",
    ),
    "an unknown alias": (f"{TEXT}x: *a\n", "bad:65: is not valid YAML: found undefined alias 'a'"),
    "a circle": ("regions: &a [*a]\n", "bad:1: has too many values, aliases expanded"),
    "an alias bomb": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcde")),
        "bad:1: has too many values, aliases expanded",
    ),
    "deep lists": ("[" * 100_000, "bad:1: is nested too deeply"),
    "deep mappings": ("{a: " * 50_000, "bad:1: is nested too deeply"),
    "a merge key": (
        with_("redis: {members: 1}", "redis:\n  <<: {members: 1}"),
        "bad:53: redis: merge keys are not supported: write the fields out",
    ),
    "a Python object": (
        with_("name: skillswap", "name: !!python/object/apply:os.system [ls]"),
        "bad:4: name: the tag !!python/object/apply:os.system is not supported",
    ),
    "a private tag": (
        with_("name: skillswap", "name: !secret x"),
        "bad:4: name: the tag !secret is not supported",
    ),
    "a list as a key": (f"? [a]\n: b\n{TEXT}", "bad:1: a field's name must be text"),
    "a number as a key": (f"{TEXT}5: x\n", 'bad:65: ["5"]: unknown field'),
    "yes": (
        with_("synchronous_mode: true", "synchronous_mode: yes"),
        "bad:34: postgres.synchronous_mode: must be true or false, or text in quotes: "
        "some YAML readers take it for a boolean (got yes)",
    ),
    "no as a name": (
        with_("name: eu-central ", "name: no "),
        "bad:9: regions[1].name: must be true or false, or text in quotes: "
        "some YAML readers take it for a boolean (got no)",
    ),
    "sexagesimal": (
        with_("name: skillswap", "name: 1:30"),
        "bad:4: name: must be a plain decimal number, or text in quotes: "
        "YAML readers differ on it (got 1:30)",
    ),
    "underscores": (
        with_("rpo: 300", "rpo: 1_000"),
        "bad:13: sla.mongo.rpo: must be a plain decimal number, or text in quotes: "
        "YAML readers differ on it (got 1_000)",
    ),
    "octal": (
        with_("ttl: 20", "ttl: 020"),
        "bad:38: postgres.timings.ttl: must be a plain decimal number, or text in quotes: "
        "YAML readers differ on it (got 020)",
    ),
    "an exponent": (
        with_("rpo: 300", "rpo: 3e2"),
        "bad:13: sla.mongo.rpo: must be a plain decimal number, or text in quotes: "
        "YAML readers differ on it (got 3e2)",
    ),
    "too many digits": (
        with_("rpo: 300", f"rpo: {'9' * 5000}"),
        "bad:13: sla.mongo.rpo: must be a plain decimal number, or text in quotes: "
        f"YAML readers differ on it (got {'9' * 60}…)",
    ),
    "infinity": (
        with_("rpo: 300", "rpo: .inf"),
        "bad:13: sla.mongo.rpo: must be a finite number (got inf)",
    ),
    "no number": (
        with_("rpo: 300", "rpo: .nan"),
        "bad:13: sla.mongo.rpo: must be a finite number (got nan)",
    ),
    "a date": (
        with_("name: skillswap", "name: 2024-01-01"),
        "bad:4: name: must be in quotes: some YAML readers take it for a date (got 2024-01-01)",
    ),
    "the value key": (
        with_("name: skillswap", "name: ="),
        "bad:4: name: must be in quotes: some YAML readers take it for a tag (got =)",
    ),
    "a byte order mark and Windows lines": (
        "\ufeff" + with_("routers: 2", "routers: 0").replace("\n", "\r\n"),
        "bad:21: mongo.routers: must be at least 1 (got 0)",
    ),
    "an alias to a wrong value": (
        with_("{members: 3}\n", "&m {members: 2}\n"),
        "bad:20: mongo.config_servers.members: must be odd (got 2)",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_a_bad_text_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_topology(text.removeprefix("\ufeff"), "bad")
    assert caught.value.message == message
    assert caught.value.exit_code == 2


def test_a_missing_field_has_the_line_of_what_lacks_it() -> None:
    text = with_("{name: shard-b, segment: sessions_messages, members: 3}", "{name: shard-b}")
    with pytest.raises(InvalidInputError) as caught:
        parse_topology(text, "bad")
    assert caught.value.message == "bad:19: mongo.shards[1].segment: is required"


def test_all_errors_are_told_in_the_order_of_the_file() -> None:
    text = with_("routers: 2", "routers: 0").replace("etcd: 1", "etcd: 2")
    text = text.replace("pool_mode: transaction", "pool_mood: session")
    text = text.replace("127.77.0.0/16", "10.0.0.0/8").replace(
        "name: eu-central ", "name: eu-west "
    )
    with pytest.raises(InvalidInputError) as caught:
        parse_topology(text, "bad")
    assert caught.value.message.splitlines() == [
        'bad:9: regions[1].name: must be unique: regions[0].name is the same (got "eu-west")',
        "bad:21: mongo.routers: must be at least 1 (got 0)",
        "bad:44: postgres.dr.etcd: must be odd (got 2)",
        'bad:49: edge.pool_mood: unknown field (did you mean "pool_mode"?)',
        "bad:64: local.network: must be a /16 from 127.1.0.0/16 to 127.255.0.0/16"
        ' (got "10.0.0.0/8")',
    ]


def test_very_many_errors_are_cut() -> None:
    said = errors("".join(f"field{i}: 1\n" for i in range(100)))
    assert len(said) == 26
    assert said[-1] == "and 78 more errors"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (os.urandom(64).replace(b"\n", b"") + b"\xff", ":1: is not text in UTF-8"),
        (b"version: 1\nname: \xe9\n", ":2: is not text in UTF-8"),
        (TEXT.encode("utf-16"), ":1: is not text in UTF-8"),
        (b"#" * (256 * 1024 + 1), ": is larger than 256 KiB"),
    ],
    ids=["noise", "latin-1", "utf-16", "large"],
)
def test_a_file_that_is_no_text(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "topology.yaml"
    file.write_bytes(content)
    assert refusal(file) == f"{file}{reason}"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    places = {
        tmp_path / "missing": "No such file or directory",
        tmp_path: "Is a directory",
        tmp_path / "circle": "Too many levels of symbolic links",
        tmp_path / ("x" * 300): "File name too long",
        Path("/proc/self/mem"): "Input/output error",  # unreadable even to root
    }
    assert {path: refusal(path) for path in places} == {
        path: f"{path}: cannot be read: {reason}" for path, reason in places.items()
    }


def test_a_device_without_end_is_refused() -> None:
    assert refusal(Path("/dev/zero")) == "/dev/zero: is larger than 256 KiB"


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "topology.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert load_topology(file) == load_topology(None)


def refusal(path: Path) -> str:
    with pytest.raises(InvalidInputError) as caught:
        load_topology(path)
    assert caught.value.hint
    return caught.value.message


def test_a_password_in_a_url_is_not_repeated() -> None:
    endpoint = "https://key:hunter2@s3.example"
    repository = {"type": "s3", "endpoint": endpoint, "bucket": "archive"}
    said = errors(changed({"archive.repositories": [repository]}))
    assert "hunter2" not in "".join(said)


def test_the_shipped_topology_is_tp3() -> None:
    tp3 = load_topology(None)
    assert [(s.name, s.segment, s.members) for s in tp3.mongo.shards] == [
        ("shard-a", "users_skills", 3),
        ("shard-b", "sessions_messages", 3),
    ]
    assert (tp3.mongo.config_servers.members, tp3.mongo.routers) == (3, 2)
    assert [m.name for m in tp3.postgres.members] == ["pg1", "pgsync1"]
    assert tp3.postgres.dr is not None
    assert tp3.postgres.synchronous_mode
    assert tp3.local.network == IPv4Network("127.77.0.0/16")


def test_the_defaults_are_the_shipped_topology() -> None:
    short = """
    regions:
      - {name: eu-west, zones: [eu-west-a, eu-west-b, eu-west-c]}
      - {name: eu-central, zones: [eu-central-a]}
    mongo:
      shards:
        - {name: shard-a, segment: users_skills}
        - {name: shard-b, segment: sessions_messages}
    postgres:
      members:
        - {name: pg1, zone: eu-west-a, role: primary}
        - {name: pgsync1, zone: eu-west-b, role: synchronous}
      dr: {region: eu-central, members: [{name: pgdr1, zone: eu-central-a}]}
    """
    assert parse_topology(short, "short") == load_topology(None)


def test_anchors_and_aliases_may_be_used() -> None:
    text = with_("{members: 3}\n", "&m {members: 5}\n").replace("max_memory_mb", "x")
    assert parse_topology(text, "anchored").mongo.config_servers.members == 5


def test_text_that_looks_like_something_else_survives_a_round_trip() -> None:
    tricky = [
        "yes",
        "1e3",
        "1_000",
        "0o17",
        "1:30",
        "2024-01-01",
        ".5",
        "",
        "~",
        "é",
        " a ",
        "-",
        "=",
    ]
    edits = {"postgres.parameters": {f"my.p{i}": text for i, text in enumerate(tricky)}}
    odd = topology(edits)
    assert list(odd.postgres.parameters.values()) == tricky
    assert parse_topology(dump_topology(odd), "dumped") == odd


def test_the_dump_writes_defaults_out_and_is_stable() -> None:
    text = dump_topology(load_topology(None))
    assert "max_clients: 500" in text
    assert dump_topology(parse_topology(text, "dumped")) == text


def _objects(schema: dict[str, object]) -> dict[str, dict[str, object]]:
    definitions = schema["$defs"]
    assert isinstance(definitions, dict)
    objects = {name: d for name, d in definitions.items() if d.get("type") == "object"}
    return objects | {"Topology": schema}


def test_the_schema_describes_every_field_and_refuses_others() -> None:
    schema = json.loads(topology_schema())
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    objects = _objects(schema)
    assert len(objects) > 20
    for name, definition in objects.items():
        assert definition["additionalProperties"] is False, name
        assert definition["description"], name
        properties = definition["properties"]
        assert isinstance(properties, dict)
        for field, described in properties.items():
            tag = "const" in described and field == "type"
            assert tag or described.get("description"), f"{name}.{field}"


def test_every_pattern_of_the_model_is_put_into_words() -> None:
    used = set(re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', topology_schema()))
    assert {json.loads(pattern) for pattern in used} == set(PATTERNS)


def test_the_schema_knows_the_required_fields() -> None:
    objects = _objects(json.loads(topology_schema()))
    assert objects["Topology"]["required"] == ["regions", "mongo", "postgres"]
    assert objects["Shard"]["required"] == ["name", "segment"]
    assert set(objects["Topology"]["properties"]) == set(Topology.model_fields)  # type: ignore[call-overload]
