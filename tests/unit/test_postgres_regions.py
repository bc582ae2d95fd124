"""Who leads, by the file in the cluster's state folder, and what is rendered from that."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest

from cluster.errors import RefusedError
from cluster.inventory import Node
from cluster.target import Target, ToolResult
from postgres import regions, restore_state
from postgres.dr_loss import Left, describe, loss, parse_tail, stated
from postgres.regions import Regions, Stage
from postgres.restore_state import Phase
from postgres.scopes import dr_scope, fenced_scope, primary_scope
from postgres.servers import dynamic_configuration, servers
from tests.unit.postgres_samples import context
from tests.unit.test_postgres_restore_target import DUMP, START

PARTS = {  # who takes the writes, who follows, of whom nothing may run
    Stage.HOME: ("payments", "payments-dr", None),
    Stage.PROMOTING: ("payments-dr", None, "payments"),
    Stage.AWAY: ("payments-dr", None, "payments"),
    Stage.RETURNING: ("payments-dr", "payments", None),
    Stage.HANDOVER: ("payments", None, "payments-dr"),
    Stage.SETTLING: ("payments", "payments-dr", None),
}


@pytest.mark.parametrize("stage", Stage)
def test_parts_by_stage(tmp_path: Path, stage: Stage) -> None:
    made = context(tmp_path)
    regions.save(made.layout, Regions(stage=stage))
    dr, fenced = dr_scope(made), fenced_scope(made)
    names = (primary_scope(made).name, dr and dr.name, fenced and fenced.name)
    assert names == PARTS[stage]
    assert dr is None or dr.follows == primary_scope(made).name
    running = {server.node.name for server in servers(made)}
    assert not fenced or not running & {node.name for node in fenced.members}


@pytest.mark.parametrize("stage", Stage)
def test_never_two_that_follow_nobody(tmp_path: Path, stage: Stage) -> None:
    """At most one rendered configuration lets its scope take writes."""
    made = context(tmp_path)
    regions.save(made.layout, Regions(stage=stage))
    scopes = [primary_scope(made), *([found] if (found := dr_scope(made)) else [])]
    free = [each for each in scopes if "standby_cluster" not in dynamic_configuration(made, each)]
    assert free == [primary_scope(made)]
    for server in servers(made):
        for file in server.files:
            if file.name == "patroni.yml":
                of_primary = server.node in primary_scope(made).members
                assert ("pre_promote" in file.text) is not of_primary, server.name


def test_a_promoted_member_may_lead(tmp_path: Path) -> None:
    made = context(tmp_path)
    regions.save(made.layout, Regions(stage=Stage.AWAY))
    [text] = [
        file.text
        for server in servers(made)
        if server.name == "pgdr1"
        for file in server.files
        if file.name == "patroni.yml"
    ]
    assert "nofailover: false" in text
    [proxy] = [s.files[0].text for s in servers(made) if s.name == "haproxy-1"]
    assert "server pgdr1" in proxy
    assert "pgsync1" not in proxy


def test_home_leaves_no_file(tmp_path: Path) -> None:
    made = context(tmp_path)
    regions.save(made.layout, Regions(stage=Stage.AWAY))
    regions.save(made.layout, Regions())
    assert list(tmp_path.glob("regions*")) == []
    assert regions.load(made.layout) == Regions()


def test_a_damaged_file_is_not_guessed(tmp_path: Path) -> None:
    made = context(tmp_path)
    (tmp_path / "regions.json").write_text('{"stage": "aw')
    with pytest.raises(RefusedError, match="cannot be understood"):
        primary_scope(made)


@pytest.mark.parametrize("stage", Stage)
def test_half_done_is_said_with_its_command(tmp_path: Path, stage: Stage) -> None:
    layout = context(tmp_path).layout
    regions.save(layout, Regions(stage=stage))
    if stage in {Stage.HOME, Stage.AWAY}:
        regions.refuse_half_done(layout)
        return
    with pytest.raises(RefusedError) as refused:
        regions.refuse_half_done(layout)
    wanted = "promote" if stage is Stage.PROMOTING else "failback"
    assert f"dr {wanted}" in refused.value.hint


@pytest.mark.parametrize("phase", Phase)
def test_a_restore_that_touched_the_cluster_must_be_finished(tmp_path: Path, phase: Phase) -> None:
    layout = context(tmp_path).layout
    restore_state.save(
        layout,
        restore_state.Restoring(
            to="2026-11-26T12:00:00.000+00:00", phase=phase, repository=1, label="F", timeline=1,
            bytes_total=1, began=START,
        ),
    )  # fmt: skip
    if phase is Phase.PREPARE:
        restore_state.refuse_half_done(layout)
        return
    with pytest.raises(RefusedError) as refused:
        restore_state.refuse_half_done(layout)
    assert "restore pg --to '2026-11-26T12:00:00.000+00:00' --in-place" in refused.value.hint


def test_the_loss_is_counted_from_the_old_primarys_wal() -> None:
    tail = parse_tail("pg1", DUMP, "0/805EC20")
    found = stated(START, tail, "/evidence")
    assert (found.commits, found.bytes, found.sent) == (
        2,
        0x8062958 + 130 - 0x805EC20,
        "0/80629DA",
    )
    assert (found.received, found.received_at) == ("0/805EC20", START)
    assert "lost: 2 transactions" in describe(found)


def test_no_loss() -> None:
    found = stated(START, parse_tail("pg1", "", "0/9000000"), "")
    assert (found.commits, found.bytes, found.seconds) == (0, 0, 0.0)
    assert describe(found).endswith("nothing is lost")


@dataclass
class Disks:
    """A target whose only files are these; notes the timelines that are dumped."""

    files: frozenset[str]
    dumped: list[str] = field(default_factory=list)

    def run_tool(self, _node: Node, argv: Sequence[str], **_: object) -> ToolResult:
        if argv[0] == "test":
            return ToolResult(int(Path(argv[2]).name not in self.files), "", "")
        self.dumped.append(argv[argv.index("-t") + 1])
        return ToolResult(1, DUMP, "")


@pytest.mark.parametrize(
    ("files", "dumped"),
    [
        # It was promoted, and began another timeline later: home's disk knows nothing of that one.
        ({"000000020000000000000008"}, ["2"]),
        ({"000000020000000000000008", "000000010000000000000007"}, ["2"]),
        (set(), []),
    ],
)
def test_the_loss_counts_from_where_the_disks_own_timeline_was_left(
    tmp_path: Path, files: set[str], dumped: list[str]
) -> None:
    target = Disks(frozenset(files))
    made = replace(context(tmp_path), target=cast("Target", target))
    since = Left({1: 0x7000000, 2: 0x805EC20, 3: 0x9000000}, START)
    scope = replace(primary_scope(made), members=primary_scope(made).members[:1])
    found = loss(made, scope, since, tmp_path / "evidence")
    assert target.dumped == dumped
    if dumped:
        assert (found.received, found.commits) == ("0/805EC20", 2)
    else:
        assert found.commits is None
