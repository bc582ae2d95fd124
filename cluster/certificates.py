"""The cluster's own certificate authority, and the certificates that it gives to servers.

Below `secrets`, for the owner of the cluster alone: `certificates/authority.pem` (its key and its
certificate) and one `<server>.pem` a server. `ca.crt` in the cluster's folder is what clients trust
and everybody may read.
"""

import ipaddress
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster.errors import InvalidInputError
from cluster.files import write_atomic, write_private
from cluster.layout import Layout
from cluster.topology import Tls

# A certificate is replaced when a third of its life is left:
# https://cert-manager.io/docs/usage/certificate/ (renewBefore)
RENEW_SHARE = 1 / 3
FOLDER = "certificates"
CLOCKS_APART = timedelta(minutes=5)  # how far another machine's clock may be behind
NOT_CRITICAL, CRITICAL = False, True


@dataclass(frozen=True)
class Validity:
    """Until when a certificate is valid (UTC), and for which addresses and names."""

    until: datetime
    names: frozenset[str]
    serial: str = ""  # hexadecimal

    def days(self, now: datetime) -> float:
        """The days that are left; negative when it has expired."""
        return (self.until - now) / timedelta(days=1)


@dataclass(frozen=True)
class _Signer:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


class Authority:
    """The certificate authority of one cluster; made on first use, and kept.

    Raises InvalidInputError where its file is damaged: clients trust no other.
    """

    def __init__(self, layout: Layout, lifetimes: Tls | None = None) -> None:
        self._folder = layout.secrets / FOLDER
        self._public = layout.authority
        self._lifetimes = lifetimes or Tls()

    def certificate_file(self) -> Path:
        """The file of the certificate that clients trust; written where it is missing."""
        text = _text(self._signer().certificate)
        if not self._public.exists() or self._public.read_text("utf-8") != text:
            write_atomic(self._public, text, mode=0o644)
        return self._public

    def pem(self, name: str, addresses: Sequence[str], now: datetime | None = None) -> str:
        """A server's key and certificate (PEM, in this order), valid for its `addresses`.

        The same at every call, until the addresses change or a third of its life is left.
        """
        at, signer, days = now or datetime.now(UTC), self._signer(), self._lifetimes.leaf_days
        path = self.file(name)
        if not _serves(path, signer, addresses, at, days):
            self.renew(name, addresses, at)
        return path.read_text("ascii")

    def renew(self, name: str, addresses: Sequence[str], now: datetime | None = None) -> None:
        """Give a server a new certificate, and a new key, whatever the old one is."""
        at, signer, days = now or datetime.now(UTC), self._signer(), self._lifetimes.leaf_days
        write_private(self.file(name), _leaf(signer, name, addresses, at, days))

    def file(self, name: str) -> Path:
        """Where a server's key and certificate are kept."""
        return self._folder / f"{name}.pem"

    def forget(self, name: str) -> None:
        """Keep a server's no longer: nobody renews it. What was written elsewhere stays valid."""
        self.file(name).unlink(missing_ok=True)

    def validity(self, name: str) -> Validity | None:
        """Of a server's certificate; None where it has none."""
        try:
            return validity(self.file(name).read_bytes())
        except (OSError, ValueError):
            return None

    def _signer(self) -> _Signer:
        path = self._folder / "authority.pem"
        if not path.exists():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The loser of a race reads what the winner wrote.
            write_private(path, self._new_authority(), replace=False)
        try:
            text = path.read_bytes()
            key = serialization.load_pem_private_key(text, None)
            certificate = x509.load_pem_x509_certificate(text)
        except (OSError, ValueError, TypeError) as error:
            raise _damaged(path, str(error)) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not _belongs(key, certificate):
            raise _damaged(path, "key and certificate do not belong together")
        return _Signer(key, certificate)

    def _new_authority(self) -> str:
        return _new_authority(datetime.now(UTC), self._lifetimes.authority_days)


def in_use(layout: Layout) -> dict[str, Path]:
    """The files of the certificates that servers were given, by node; the authority's is `ca`.

    Not those of the `secrets` folder: there a newer one waits until its servers are given it.
    """
    given = {path.parts[-3]: path for path in layout.root.glob("nodes/*/conf/*.pem")}
    return dict(sorted(given.items())) | {layout.authority.stem: layout.authority}


def validity(pem: bytes) -> Validity:
    """Of a certificate. Raises ValueError where there is none."""
    found = x509.load_pem_x509_certificate(pem)
    names: set[str] = set()
    with suppress(x509.ExtensionNotFound):
        san = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names.update(san.get_values_for_type(x509.DNSName))
        names.update(map(str, san.get_values_for_type(x509.IPAddress)))
    return Validity(found.not_valid_after_utc, frozenset(names), format(found.serial_number, "x"))


def serial(pem: str) -> str:
    """Of a certificate. Raises ValueError where there is none."""
    return validity(pem.encode("ascii")).serial


def _serves(
    path: Path, signer: _Signer, addresses: Sequence[str], now: datetime, days: int
) -> bool:
    """Whether a certificate is there, ours, whole, for these addresses, and not near its end."""
    try:
        text = path.read_bytes()
        key = serialization.load_pem_private_key(text, None)
        certificate = x509.load_pem_x509_certificate(text)
        certificate.verify_directly_issued_by(signer.certificate)
        known = validity(text)
    except (OSError, ValueError, TypeError, InvalidSignature):
        return False
    ours = isinstance(key, ec.EllipticCurvePrivateKey) and _belongs(key, certificate)
    left = known.days(now)
    fresh = days * RENEW_SHARE <= left <= days
    last = known.until == signer.certificate.not_valid_after_utc  # no other would last longer
    return ours and known.names >= {*addresses} and (fresh or last)


def _new_authority(now: datetime, days: int) -> str:
    key, name = ec.generate_private_key(ec.SECP256R1()), _name("SkillSwap local authority")
    usage = x509.KeyUsage(
        key_cert_sign=True,
        crl_sign=True,
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, key.public_key(), now, now + timedelta(days=days))
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), CRITICAL)
        .add_extension(usage, CRITICAL)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), NOT_CRITICAL)
        .sign(key, hashes.SHA256())
    )
    return _key_text(key) + _text(certificate)


def _leaf(signer: _Signer, name: str, addresses: Sequence[str], now: datetime, days: int) -> str:
    key, authority = ec.generate_private_key(ec.SECP256R1()), signer.certificate
    usages = x509.ExtendedKeyUsage(
        [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    )
    # Verifiers refuse a certificate whose authority has expired.
    until = min(now + timedelta(days=days), authority.not_valid_after_utc)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
    certificate = (
        _builder(_name(name), key.public_key(), now, until)
        .issuer_name(authority.subject)
        .add_extension(x509.SubjectAlternativeName(_alternatives(addresses)), NOT_CRITICAL)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), CRITICAL)
        .add_extension(usages, NOT_CRITICAL)
        .add_extension(issuer, NOT_CRITICAL)
        .sign(signer.key, hashes.SHA256())
    )
    return _key_text(key) + _text(certificate)


def _alternatives(addresses: Sequence[str]) -> list[x509.GeneralName]:
    """An address stands there as a name too: pgBackRest 2.45 reads no other kind of entry."""
    found: list[x509.GeneralName] = []
    for each in addresses:
        with suppress(ValueError):
            found.append(x509.IPAddress(ipaddress.ip_address(each)))
        found.append(x509.DNSName(each))
    return found


def _builder(
    name: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_APART)
        .not_valid_after(until)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _belongs(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> bool:
    return certificate.public_key() == key.public_key()


def _key_text(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode("ascii")


def _text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _damaged(path: Path, reason: str) -> InvalidInputError:
    return InvalidInputError(
        f"{path} holds no certificate authority: {reason}",
        "put it back; servers and clients that trust it accept no other",
    )
