"""`services admin`: who administers the application."""

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, confirm, selects_cluster, yes_option

REASON = "named by the operator at the command line"


@click.group("admin")
def admin() -> None:
    """The application's administrators, the first one among them.

    \b
    Example:
      skillswap-ops services admin grant ada@example.org
    """


@admin.command("grant")
@click.argument("email", metavar="E-MAIL")
@click.option("--reason", metavar="TEXT", default=REASON, help="For the audit journal.")
@selects_cluster
@yes_option
def grant(selection: Selection, *, email: str, reason: str, yes: bool) -> None:
    """Make the user who logs in with E-MAIL an administrator, beside their other roles.

    They must have registered. It is written to the audit journal first, without an actor: it was
    the operator. Their log-ins end; the next one has the new role. Idempotent.

    \b
    Examples:
      skillswap-ops services admin grant ada@example.org
      skillswap-ops services admin grant ada@example.org --reason "first one" --yes
    """
    from cluster.lock import changes
    from skillswap_ops.administrators import make_administrator
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    confirm(
        f"Make {email} an administrator of cluster {context.topology.name}? They may then change "
        "anybody's roles and ban anybody.",
        yes=yes,
    )
    changes(context.layout.root, "services admin grant")
    made = make_administrator(context, email, reason)
    if selection.json:
        console.print_json(made)
    elif made.added:
        console.say(f"{email} is an administrator from the next log-in on (user {made.user}).")
    else:
        console.say(f"{email} is an administrator already; nothing changed.")
