"""The local certificate authority: made once, kept, and what it gives to servers."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from cluster.certificates import Authority, validity
from cluster.errors import InvalidInputError
from cluster.layout import Layout
from cluster.secrets import SecretStore
from cluster.topology import Tls

NOW = datetime(2026, 11, 26, tzinfo=UTC)
ADDRESS = "127.77.71.1"
LEAF_DAYS = Tls().leaf_days


def authority(root: Path) -> Authority:
    return Authority(Layout(root))


def test_the_authority_is_made_once(tmp_path: Path) -> None:
    text = authority(tmp_path).certificate_file().read_text()
    assert authority(tmp_path).certificate_file().read_text() == text
    assert x509.load_pem_x509_certificate(text.encode()).extensions.get_extension_for_class(
        x509.BasicConstraints
    ).value == x509.BasicConstraints(ca=True, path_length=0)


def test_what_is_secret_is_readable_to_its_owner_alone(tmp_path: Path) -> None:
    found = authority(tmp_path)
    found.pem("objects-1", [ADDRESS])
    found.certificate_file()
    folder = tmp_path / "secrets" / "certificates"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"authority.pem": 0o600, "objects-1.pem": 0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "PRIVATE" not in (tmp_path / "ca.crt").read_text()


def test_secrets_are_read_beside_the_certificates(tmp_path: Path) -> None:
    authority(tmp_path).certificate_file()
    store = SecretStore(tmp_path / "secrets")
    made = store.get("x")
    assert store.known() == (made,)


def test_a_lost_public_file_is_written_again(tmp_path: Path) -> None:
    text = authority(tmp_path).certificate_file().read_text()
    (tmp_path / "ca.crt").write_text("another")
    assert authority(tmp_path).certificate_file().read_text() == text


def test_a_certificate_names_its_addresses(tmp_path: Path) -> None:
    found = authority(tmp_path)
    pem = found.pem("objects-1", [ADDRESS, "objects"], NOW).encode()
    certificate = x509.load_pem_x509_certificate(pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    # As a name too, for pgBackRest.
    assert names.get_values_for_type(x509.DNSName) == [ADDRESS, "objects"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == [ADDRESS]
    assert validity(pem).days(NOW) == LEAF_DAYS
    certificate.verify_directly_issued_by(
        x509.load_pem_x509_certificate(found.certificate_file().read_bytes())
    )


def test_a_certificate_is_kept_until_a_third_of_its_life_is_left(tmp_path: Path) -> None:
    found = authority(tmp_path)
    first = found.pem("objects-1", [ADDRESS], NOW)
    late = NOW + timedelta(days=LEAF_DAYS * 2 / 3)
    assert found.pem("objects-1", [ADDRESS], late - timedelta(hours=1)) == first
    second = found.pem("objects-1", [ADDRESS], late + timedelta(hours=1))
    assert second != first
    assert validity(second.encode()).days(late) == pytest.approx(LEAF_DAYS, abs=0.1)


def test_another_address_and_a_damaged_file_make_a_new_one(tmp_path: Path) -> None:
    found = authority(tmp_path)
    first = found.pem("objects-1", [ADDRESS], NOW)
    second = found.pem("objects-1", [ADDRESS, "127.77.71.2"], NOW)
    assert second != first
    path = tmp_path / "secrets" / "certificates" / "objects-1.pem"
    path.write_text(second[: len(second) // 2])
    assert found.pem("objects-1", [ADDRESS], NOW) not in {first, second}


def test_one_of_another_authority_is_replaced(tmp_path: Path) -> None:
    stranger, own = authority(tmp_path / "a"), authority(tmp_path / "b")
    strange = stranger.pem("objects-1", [ADDRESS], NOW)
    own.certificate_file()
    path = tmp_path / "b" / "secrets" / "certificates" / "objects-1.pem"
    path.write_text(strange)
    assert own.pem("objects-1", [ADDRESS], NOW) != strange


@pytest.mark.parametrize("text", ["", "no PEM", "half"])
def test_a_damaged_authority_is_said_and_not_replaced(tmp_path: Path, text: str) -> None:
    found = authority(tmp_path)
    found.certificate_file()
    path = tmp_path / "secrets" / "certificates" / "authority.pem"
    whole = path.read_text()
    path.write_text(whole[:300] if text == "half" else text)
    with pytest.raises(InvalidInputError, match=str(path)):
        found.pem("objects-1", [ADDRESS], NOW)


def test_a_key_of_another_authority_is_refused(tmp_path: Path) -> None:
    one, other = authority(tmp_path / "a"), authority(tmp_path / "b")
    one.certificate_file()
    other.certificate_file()
    name = "secrets/certificates/authority.pem"
    mixed = [(tmp_path / folder / name).read_text().split("-----BEGIN CERT") for folder in "ab"]
    (tmp_path / "a" / name).write_text(f"{mixed[0][0]}-----BEGIN CERT{mixed[1][1]}")
    with pytest.raises(InvalidInputError, match="do not belong together"):
        one.certificate_file()


def test_what_is_given_is_what_tls_takes(tmp_path: Path) -> None:
    found = authority(tmp_path)
    path = tmp_path / "both.pem"
    path.write_text(found.pem("objects-1", [ADDRESS]))
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)
    assert ssl.create_default_context(cafile=str(found.certificate_file())).get_ca_certs()


def test_lifetimes_are_the_topologys(tmp_path: Path) -> None:
    found = Authority(Layout(tmp_path), Tls(authority_days=30, leaf_days=9))
    now = datetime.now(UTC)
    first = found.pem("etcd-1", [ADDRESS], now)
    assert validity(first.encode()).days(now) == pytest.approx(9, abs=0.1)
    assert found.pem("etcd-1", [ADDRESS], now + timedelta(days=5.9)) == first
    assert found.pem("etcd-1", [ADDRESS], now + timedelta(days=6.1)) != first
    authority_left = validity(found.certificate_file().read_bytes()).days(now)
    assert authority_left == pytest.approx(30, abs=0.1)


def test_one_that_is_valid_for_longer_than_it_should_be_is_replaced(tmp_path: Path) -> None:
    long = authority(tmp_path).pem("etcd-1", [ADDRESS], NOW)
    shorter = Authority(Layout(tmp_path), Tls(leaf_days=30))
    assert shorter.pem("etcd-1", [ADDRESS], NOW) != long


def test_none_outlives_its_authority_and_the_last_one_is_kept(tmp_path: Path) -> None:
    found = Authority(Layout(tmp_path), Tls(authority_days=10, leaf_days=9))
    late = datetime.now(UTC) + timedelta(days=8)
    last = found.pem("etcd-1", [ADDRESS], late)
    ends = validity(found.certificate_file().read_bytes()).until
    assert validity(last.encode()).until == ends
    assert found.pem("etcd-1", [ADDRESS], late) == last


def test_a_renewed_one_has_another_key(tmp_path: Path) -> None:
    found = authority(tmp_path)
    first = found.pem("etcd-1", [ADDRESS], NOW)
    found.renew("etcd-1", [ADDRESS], NOW)
    second = found.pem("etcd-1", [ADDRESS], NOW)
    assert first.partition("-----END PRIVATE KEY")[0] != second.partition("-----END PRIVATE KEY")[0]
    assert validity(first.encode()).serial != validity(second.encode()).serial
