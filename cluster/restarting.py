"""A server's restart. One that is killed in its midst leaves word, and the next finishes it."""

from collections.abc import Callable, Iterable

from cluster.context import Context
from cluster.files import write_atomic
from cluster.layout import Layout
from cluster.server import Server

FILE = "restarting"


def restart_server(
    context: Context, server: Server, between: Callable[[], None] = lambda: None
) -> None:
    """Stop it cleanly and start it, with its files as they should be now."""
    note = context.layout.root / FILE
    write_atomic(note, server.name)
    context.target.stop(server)
    between()
    context.target.start(server)
    note.unlink(missing_ok=True)


def half_done(layout: Layout) -> str:
    """The server that a restart has stopped and not started again; "" for none."""
    try:
        return (layout.root / FILE).read_text("utf-8").strip()
    except FileNotFoundError:
        return ""


def finish(context: Context, servers: Iterable[Server]) -> str:
    """Start the server whose restart was not finished; its name, "" for none. Idempotent."""
    name, started = half_done(context.layout), ""
    for server in servers if name else ():
        if server.name == name and not context.target.state(server).running:
            context.target.stop(server)  # it may be about to end still
            context.target.start(server)
            started = name
    (context.layout.root / FILE).unlink(missing_ok=True)
    return started
