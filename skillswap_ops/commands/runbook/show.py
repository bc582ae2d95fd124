"""`runbook show`."""

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster


@click.command("show")
@click.argument("name")
@selects_cluster
def show(selection: Selection, *, name: str) -> None:
    """Print the page NAME, as it is read by a person. Needs no cluster.

    \b
    Examples:
      skillswap-ops runbook show pg-etcd-quorum-lost
      skillswap-ops runbook show pg-pitr --output json | jq '.steps[].id'
    """
    from runbooks.catalogue import named
    from runbooks.proofs import proofs
    from runbooks.runner import described

    runbook = named(name)
    if selection.json:
        console.print_json(
            {
                "id": runbook.id,
                "front": runbook.front.model_dump(mode="json"),
                "steps": [
                    {
                        "id": each.step.id,
                        "title": each.title,
                        "step": each.step.step,
                        "what": described(each),
                        "if_it_fails": each.step.if_it_fails.say,
                    }
                    for each in runbook.steps
                ],
                "sections": runbook.sections,
            }
        )
        return
    from rich.markdown import Markdown

    console.say(f"{runbook.front.severity}; {proofs().of(runbook).words}")
    console.out().print(Markdown(_without_front(runbook.text)))


def _without_front(text: str) -> str:
    return text.split("\n---\n", 1)[-1]
