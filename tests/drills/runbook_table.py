"""The table of docs/runbooks.md, out of the record of proofs.

`python -m tests.drills.runbook_table` writes it; a unit test holds the page to it.
"""

from collections.abc import Mapping
from pathlib import Path

from runbooks.catalogue import catalogue
from runbooks.model import Runbook
from runbooks.proofs import Proof, Proofs, proofs

PAGE = Path(__file__).parents[2] / "docs" / "runbooks.md"
HEAD = (
    "| runbook | condition, as it was made | named after | run | SLA |",
    "|---|---|--:|--:|--:|",
)


def table(known: Mapping[str, Runbook], record: Proofs) -> str:
    """A row a runbook, those that were not proved with the reason at the end."""
    rows = [_row(one, record.each[one.id]) for one in known.values() if _stands(one, record)]
    rest = [
        f"| {one.id} | {record.of(one).words} | | | |"
        for one in known.values()
        if not _stands(one, record)
    ]
    return "\n".join((*HEAD, *rows, *rest)) + "\n"


def with_table(page: str, made: str) -> str:
    """The page with its table replaced; everything from the head to the next empty line is it."""
    start = page.index(HEAD[0])
    end = page.index("\n\n", start) + 1
    return page[:start] + made + page[end:]


def _stands(runbook: Runbook, record: Proofs) -> bool:
    return record.of(runbook).state == "proved"


def _row(runbook: Runbook, proof: Proof) -> str:
    named = f"{proof.named_after:.1f} s" if runbook.front.symptoms else "-"
    promised = f"{proof.promised:.0f} s" if proof.promised else "-"
    condition = proof.condition.rstrip(".")
    return f"| {runbook.id} | {condition} | {named} | {proof.took:.0f} s | {promised} |"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8"), table(catalogue(), proofs())), "utf-8")
