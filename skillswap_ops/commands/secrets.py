"""`secrets`: the passwords and keys of the cluster, and new ones without an outage."""

from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, confirm, selects_cluster, yes_option

if TYPE_CHECKING:
    from skillswap_ops.rotating import Listed


@click.group("secrets")
def command() -> None:
    """The cluster's passwords and keys: what each opens and how old it is, and new ones in use.

    \b
    Examples:
      skillswap-ops secrets list
      skillswap-ops secrets rotate
    """


@command.command("list")
@selects_cluster
def listing(selection: Selection) -> None:
    """Every secret by name: what it opens, how it is rotated, for how many days it is in force.

    Shows none of them: they are files of mode 0600 in the cluster's `secrets` folder.

    \b
    Examples:
      skillswap-ops secrets list
      skillswap-ops secrets list --output json
    """
    from skillswap_ops import rotating
    from skillswap_ops.wiring import local_context

    found = rotating.listed(local_context(selection, must_exist=True))
    if selection.json:
        console.print_json(found)
        return
    console.print_table(("name", "opens", "rotated", ">days"), [_row(one) for one in found])
    if half := [one.name for one in found if one.half]:
        console.say(f"Half rotated: {', '.join(half)}; `skillswap-ops secrets rotate` goes on.")


def _row(one: "Listed") -> tuple[str, str, str, str]:
    how = one.how if one.rotatable else f"never: {one.how}"
    return one.name, one.opens, how, "" if one.days is None else f"{one.days:.1f}"


@command.command("rotate")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@selects_cluster
@yes_option
def rotate(selection: Selection, *, names: tuple[str, ...], yes: bool) -> None:
    """Replace every secret, or these, one after the other, while clients go on.

    A new secret is written down, its servers take it, who logs in with it is told, and then the
    former one is tried at every door: it must be refused. Only MongoDB's key file needs restarts,
    two rolling ones. Cut off anywhere, the same command goes on with what was left; `provision`
    waits for that.

    \b
    Examples:
      skillswap-ops secrets rotate
      skillswap-ops secrets rotate mongo-app postgres-payments_app --yes
      skillswap-ops secrets rotate mongo-keyfile
    """
    from skillswap_ops import rotating
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    planned = rotating.check(context, names)
    confirm(
        f"This replaces {len(planned)} secrets of cluster {context.topology.name}: "
        f"{', '.join(planned)}. Go on?",
        yes=yes,
    )
    done = rotating.rotate_all(context, names, console.say)
    if selection.json:
        console.print_json(done)
        return
    console.print_table(
        ("secret", ">doors that refuse the former one", "note", ">after"),
        [
            (
                one.name,
                str(len(one.doors)),
                one.note or _unasked(one.unasked),
                f"{one.seconds:.1f} s",
            )
            for one in done
        ],
    )


def _unasked(doors: tuple[str, ...]) -> str:
    return f"not asked: {', '.join(doors)}" if doors else ""
