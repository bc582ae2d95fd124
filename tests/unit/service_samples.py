"""Settings of instances whose stores are not there, for what needs none."""

from typing import Any

from fastapi import FastAPI

from manifests.services.settings import Settings, parse
from skillswap_ops.services.base import app
from skillswap_ops.services.registry import definition

KEY = "k" * 32
STORES: dict[str, Any] = {
    "mongo": {"hosts": ["127.0.0.1:1"], "user": "app", "password": "p"},
    "postgres": {
        "hosts": ["127.0.0.1"],
        "port": 1,
        "dbname": "payments",
        "user": "app",
        "password": "p",
    },
    "redis": {"host": "127.0.0.1", "port": 1, "user": "app", "password": "p"},
    "s3": {
        "endpoint": "http://127.0.0.1:1",
        "region": "eu",
        "bucket": "media",
        "access_key": "a",
        "secret_key": "s",
    },
}


def settings(service: str, **changes: Any) -> Settings:
    """An instance's settings."""
    data: dict[str, Any] = {
        "service": service,
        "instance": f"{service}-1",
        "version": "1.2.3",
        "host": "127.0.0.1",
        "jwt": {"active": "k1", "keys": {"k1": KEY}},
        **STORES,
    }
    return parse(data | changes, "test")


def application(service: str, **changes: Any) -> FastAPI:
    """The application of a service."""
    return app.build(definition(service), settings(service, **changes))
