"""What clients of Redis need, the services too: they have no use for the rest of it."""

from typing import Any


def secured(trust: str) -> dict[str, Any]:
    """The driver's options for a server that is verified by the file `trust`; none without one."""
    if not trust:
        return {}
    return {
        "ssl": True,
        "ssl_ca_certs": trust,
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
    }
