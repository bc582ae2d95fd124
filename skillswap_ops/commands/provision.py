"""`provision`: make the cluster as the topology says."""

import click

from cluster.plan import Finished
from skillswap_ops import console
from skillswap_ops.commands.plan import print_plan, print_rows
from skillswap_ops.options import Selection, selects_cluster, state_option


@click.command("provision")
@click.option("--dry-run", is_flag=True, help="Print the plan, change nothing.")
@state_option
@selects_cluster
def command(selection: Selection, *, dry_run: bool, state: str | None) -> None:
    """Make the cluster as the topology says.

    Idempotent: what is there already is left alone. Interrupted anywhere, run it again: it
    finishes. A server that died is started again.

    \b
    Examples:
      skillswap-ops provision
      skillswap-ops provision --topology my.yaml --dry-run
      skillswap-ops provision --target kubernetes
    """
    if selection.target == "kubernetes":
        _on_kubernetes(selection, state, dry_run=dry_run)
        return
    if dry_run:
        print_plan(selection, show_all=False)
        return
    ends = run_provision(selection)
    if selection.json:
        from skillswap_ops.provisioning import component_times

        console.print_json(component_times(ends))


def _on_kubernetes(selection: Selection, state: str | None, *, dry_run: bool) -> None:
    from skillswap_ops.kubernetes import in_cluster, provisioning

    if in_cluster.inside():
        ends = _inside(selection, dry_run=dry_run)
        if dry_run:
            print_rows(ends, selection, show_all=False)
            return
    elif dry_run:
        print_rows(provisioning.plan(selection, state), selection, show_all=False)
        return
    else:
        ends = provisioning.provision(selection, state)
    if selection.json:
        from skillswap_ops.provisioning import component_times

        console.print_json(component_times(ends))
    else:
        _print_times(ends)


def _inside(selection: Selection, *, dry_run: bool) -> list[Finished]:
    """What the tool's Job does: the engines' own steps, on pods that are there."""
    from skillswap_ops.kubernetes import steps
    from skillswap_ops.progress import Progress
    from skillswap_ops.stepping import raise_failures
    from skillswap_ops.wiring import context_of

    context = context_of(selection)
    if dry_run:
        return steps.look(context)
    progress = Progress(steps.all_steps(context))
    with progress.shown():
        ends = steps.run(context, progress.on_event)
    raise_failures(ends, "`skillswap-ops status` says more; the Job is tried again")
    return ends


def run_provision(selection: Selection) -> list[Finished]:
    """Provision with progress and a closing table. Raises OpsError where a step failed."""
    from cluster.topology_rules import lint_topology
    from skillswap_ops.progress import Progress
    from skillswap_ops.provisioning import all_steps, provision
    from skillswap_ops.stepping import raise_failures
    from skillswap_ops.wiring import local_context

    context = local_context(selection)
    progress = Progress(all_steps(context))
    with progress.shown():
        ends = provision(context, progress.on_event)
    raise_failures(ends, "`skillswap-ops logs NODE` says more; `provision` again goes on from here")
    if not selection.json:
        _print_times(ends)
    for warning in lint_topology(context.topology):
        console.say(f"warning: {warning}")
    return ends


def _print_times(ends: list[Finished]) -> None:
    from skillswap_ops.provisioning import component_times

    times = component_times(ends)
    total = max(time.began + time.seconds for time in times)
    console.print_table(
        ("component", ">began", ">took", ">changed"),
        [
            (
                time.component,
                f"{time.began:.1f} s",
                f"{time.seconds:.1f} s",
                f"{time.changed} of {time.steps}",
            )
            for time in times
        ],
    )
    changed = sum(time.changed for time in times)
    console.say(
        f"Healthy after {total:.1f} s, {changed} steps changed."
        if changed
        else f"Healthy; nothing to change ({total:.1f} s)."
    )
