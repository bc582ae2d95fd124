"""No secret survives the mask, however a program writes it; nothing else is touched."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.drill.publish.mask import UNMASKED, Mask

SECRET = "s3cr/t+of the=app&x"
MASK = Mask([SECRET, "kp9", "another-password"])


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
        f"Authorization: Basic {base64.b64encode(f'app:{SECRET}'.encode()).decode()}",
        base64.urlsafe_b64encode(f"patroni:{SECRET}\n".encode()).decode(),
    ],
)
def test_every_way_to_write_a_secret_is_masked(text: str) -> None:
    masked = MASK.text(f"before {text} after")
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    assert "***" in masked
    assert text not in masked


def test_a_secret_inside_json_is_masked_and_the_json_stays_whole() -> None:
    mask = Mask(['pa"ss\\word'])
    masked = mask.text(json.dumps({"password": 'pa"ss\\word', "n": 1}))
    assert json.loads(masked) == {"password": "***", "n": 1}


@given(secret=st.binary(min_size=6, max_size=40), before=st.binary(max_size=9), after=st.binary())
def test_base64_hides_no_secret_wherever_it_begins(
    secret: bytes, before: bytes, after: bytes
) -> None:
    text = secret.hex()  # a text of at least 12 characters
    encoded = base64.b64encode(before + text.encode() + after)
    assert b"***" in Mask([text]).data(encoded)


def test_a_short_secret_is_masked_only_where_it_stands_alone() -> None:
    assert MASK.text("pw=kp9, kp9x, xkp9, 'kp9'") == "pw=***, kp9x, xkp9, '***'"


def test_the_longer_of_two_secrets_leaves_no_rest() -> None:
    assert Mask(["abcdef", "abcdefghi"]).text("<abcdefghi><abcdef>") == "<***><***>"


def test_what_is_no_secret_is_not_touched() -> None:
    text = "SELECT 1; mongodb://127.0.0.1:27017/?w=majority host:port@x secretary"
    assert MASK.text(text) == text
    assert Mask([""]).text(text) == text
    assert UNMASKED.data(b"\x00\xff anything") == b"\x00\xff anything"


def test_passwords_that_nobody_told_us_are_masked_where_their_form_says_so() -> None:
    text = "postgresql://app:hunter22@127.0.0.1/x PASSWORD 'SCRAM-SHA-256$4096:c2FsdA==$a:b='"
    masked = UNMASKED.text(text)
    assert "postgresql://app:***@127.0.0.1/x" in masked
    assert "SCRAM-SHA-256$4096:***'" in masked
