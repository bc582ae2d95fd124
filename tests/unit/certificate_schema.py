"""cert-manager's definition of a Certificate, as far as ours use it: every other field is wrong.

From https://github.com/cert-manager/cert-manager/blob/master/deploy/crds/cert-manager.io_certificates.yaml
"""

from typing import Any

TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
TEXTS: dict[str, Any] = {"type": "array", "items": TEXT, "minItems": 1}
HOURS: dict[str, Any] = {"type": "string", "pattern": "^[1-9][0-9]*h$"}  # Go's time.ParseDuration


def _mapping(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


SPEC = _mapping(
    ("secretName", "issuerRef"),
    secretName=TEXT,
    commonName={"type": "string", "maxLength": 64},
    dnsNames=TEXTS,
    duration=HOURS,
    renewBefore=HOURS,
    usages={
        "type": "array",
        "items": {"enum": ["digital signature", "key encipherment", "server auth", "client auth"]},
    },
    privateKey=_mapping(
        algorithm={"enum": ["RSA", "ECDSA", "Ed25519"]},
        encoding={"enum": ["PKCS1", "PKCS8"]},
        rotationPolicy={"enum": ["Never", "Always"]},
        size={"type": "integer"},
    ),
    additionalOutputFormats={
        "type": "array",
        "items": _mapping(("type",), type={"enum": ["DER", "CombinedPEM"]}),
    },
    issuerRef=_mapping(("name",), group=TEXT, kind=TEXT, name=TEXT),
)
CERTIFICATE = _mapping(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "cert-manager.io/v1"},
    kind={"const": "Certificate"},
    metadata={"type": "object"},
    spec=SPEC,
)
