"""Run a segment router: `python -m mongo.router --config FILE`, until SIGTERM."""

import argparse
import asyncio
import resource
import signal
import sys
from pathlib import Path

from cluster.errors import OpsError
from mongo.router import log
from mongo.router.config import RouterConfig, keys, load
from mongo.router.server import Router


def main() -> int:
    """Serve; returns the exit code."""
    arguments = argparse.ArgumentParser(prog="python -m mongo.router", description=__doc__)
    arguments.add_argument("--config", type=Path, required=True, metavar="FILE")
    path: Path = arguments.parse_args().config
    try:
        config = load(path)
        key_texts = keys(config.key_file)
    except OpsError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    log.start(config.listen)
    _raise_file_limit(config)
    try:
        asyncio.run(_run(config, key_texts))
    except OSError as error:
        log.warning("cannot listen", address=config.listen, why=str(error))
        return 1
    return 0


async def _run(config: RouterConfig, key_texts: tuple[str, ...]) -> None:
    router = Router(config, key_texts)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, router.stop)
    await router.run()


def _raise_file_limit(config: RouterConfig) -> None:
    """Room for every client and for connections behind."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * config.limits.max_connections + 1000
    enough = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < enough:
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))
    if enough < wanted:
        log.warning("few file descriptors", limit=enough, wanted=wanted)


if __name__ == "__main__":
    sys.exit(main())
