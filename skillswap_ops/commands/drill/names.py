"""Names and tags of drills, as the shell completes them."""

import click
from click.shell_completion import CompletionItem


def complete_name(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Every drill that begins so, with what it breaks."""
    from skillswap_ops.catalogue import all_drills

    return [
        CompletionItem(spec.name, help=spec.fault)
        for spec in all_drills()
        if spec.name.startswith(incomplete)
    ]


def complete_tag(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Every tag that begins so."""
    from skillswap_ops.catalogue import all_drills

    known = {tag for spec in all_drills() for tag in spec.tags}
    return [CompletionItem(tag) for tag in sorted(known) if tag.startswith(incomplete)]


tag_option = click.option(
    "--tag",
    "tags",
    multiple=True,
    shell_complete=complete_tag,
    help="Those with this tag (mongo, postgres, edge, failover, control, …); may be repeated.",
)
