"""The table of docs/runbooks.md is what the record of proofs says."""

from runbooks.catalogue import catalogue
from runbooks.proofs import Proofs, proofs
from tests.drills.runbook_table import PAGE, table, with_table


def test_the_page_shows_the_record_as_it_is() -> None:
    page = PAGE.read_text("utf-8")
    made = with_table(page, table(catalogue(), proofs()))
    assert page == made, "python -m tests.drills.runbook_table"


def test_what_was_not_proved_stands_in_the_table_without_a_time() -> None:
    rows = table(catalogue(), Proofs({})).splitlines()[2:]
    assert len(rows) == len(catalogue())
    assert all("not proved" in row and row.endswith("| | | |") for row in rows)
