"""`python -m skillswap_ops.services NAME --config FILE` runs one instance."""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from cluster.errors import InvalidInputError
from manifests.services.settings import load
from skillswap_ops.services.base import app, logs
from skillswap_ops.services.base.current import Current
from skillswap_ops.services.base.server import serve
from skillswap_ops.services.registry import NAMES, definition

# Names the instance where many have one file: the pod's name.
INSTANCE = "SKILLSWAP_INSTANCE"


def main(arguments: list[str] | None = None) -> int:
    """0 after a clean shutdown, 1 where it could not serve, 2 where the settings are wrong."""
    parser = argparse.ArgumentParser(prog="python -m skillswap_ops.services")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--config", type=Path, metavar="FILE")
    parser.add_argument("--openapi", action="store_true", help="print the OpenAPI and end")
    given = parser.parse_args(arguments)
    if given.config is None:
        parser.error("--config is required")
    try:
        settings = load(given.config)
        if named := os.environ.get(INSTANCE):
            settings = settings.model_copy(update={"instance": named})
        _require_name(given.name, settings.service)
        logs.configure(settings.log_level, service=settings.service, instance=settings.instance)
        built = app.build(definition(given.name), settings, Current(settings, given.config))
    except InvalidInputError as error:
        print(f"error: {error.message}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    if given.openapi:
        print(json.dumps(built.openapi(), indent=2))  # noqa: T201
        return 0
    return 0 if asyncio.run(serve(built, settings)) else 1


def _require_name(asked: str, found: str) -> None:
    if asked != found:
        raise InvalidInputError(f"service: must be {asked} (got {found})")


if __name__ == "__main__":
    sys.exit(main())
