"""`dr status`."""

from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster

if TYPE_CHECKING:
    from postgres.dr_status import DrStatus


@click.command("status")
@selects_cluster
def status(selection: Selection) -> None:
    """Show who leads, how far the other region is behind, and whether the archive has a gap.

    Exit code 1 where a promotion now would cost more than the lag.

    \b
    Examples:
      skillswap-ops dr status
      skillswap-ops dr status --output json
    """
    from postgres.dr_status import status as look
    from skillswap_ops.wiring import local_context

    found = look(local_context(selection, must_exist=True))
    if selection.json:
        console.print_json(found)
    else:
        console.print_table(("what", "now"), _rows(found))
        for problem in found.problems:
            click.echo(problem)
    if found.problems:
        raise SystemExit(1)


def _rows(found: "DrStatus") -> list[tuple[str, str]]:
    from postgres.dr_loss import describe

    rows = [
        ("leads", f"{found.primary or 'nobody'} of {found.primary_scope} ({found.stage})"),
        ("archive", f"{len(found.archive)} gaps" if found.archive else "no gap"),
    ]
    if found.fenced:
        rows.append(("fenced", found.fenced))
    if found.loss:
        rows.append(("loss", describe(found.loss)))
    if follower := found.following:
        lag = "unknown" if follower.seconds is None else f"{follower.seconds:.1f} s"
        rows += [
            ("follows", f"{follower.node} of {follower.scope}"),
            ("stream", "streaming" if follower.streaming else "not streaming"),
            ("lag", lag),
            ("not received", _bytes(follower.bytes_not_received)),
            ("not replayed", _bytes(follower.bytes_not_replayed)),
            ("slot", follower.slot),
        ]
    return rows


def _bytes(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,} bytes"
