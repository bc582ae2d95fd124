"""The one next move of a replica set, from literal answers."""

from dataclasses import replace
from itertools import product

import pytest

from mongo.replica_set import (
    Initiate,
    Nothing,
    Reconfigure,
    Refuse,
    StepUp,
    Wait,
    decide,
    initial_document,
    next_document,
)
from mongo.set_model import (
    Answer,
    Member,
    SetConfig,
    State,
    Timings,
    Wanted,
    parse_config,
    parse_status,
    removed,
    single_point_of_failure,
)
from tests.unit.mongo_samples import answer

HOSTS = ("127.83.1.1:27018", "127.83.1.2:27018", "127.83.1.3:27018")
TIMINGS = Timings(5000, 1000, 5)


def member(number: int, **changes: object) -> Member:
    tags = (("region", "eu-west"), ("zone", f"eu-west-{'abcd'[number]}"))
    return replace(Member(HOSTS_OF[number], tags=tags), **changes)  # type: ignore[arg-type]


HOSTS_OF = (*HOSTS, "127.83.1.4:27018")
WANTED = Wanted("shard-a", tuple(member(number) for number in range(3)), TIMINGS)
CONFIG = parse_config(answer("config")["config"])

EMPTY = [Answer(host) for host in HOSTS]
SILENT = [Answer(host, silent=f"{host} does not answer") for host in HOSTS]


def healthy(config: SetConfig = CONFIG) -> list[Answer]:
    states = (State.PRIMARY, State.SECONDARY, State.SECONDARY)
    return [
        Answer(host, config, state, term=1, applied=(9, number))
        for number, (host, state) in enumerate(zip(HOSTS, states, strict=True))
    ]


def headless() -> list[Answer]:
    return [replace(one, state=State.SECONDARY) for one in healthy()]


def with_answer(answers: list[Answer], number: int, one: Answer) -> list[Answer]:
    return [*answers[:number], one, *answers[number + 1 :]]


def test_a_captured_configuration_is_the_one_wanted() -> None:
    assert CONFIG.members == WANTED.members
    assert CONFIG.timings == TIMINGS
    assert CONFIG.set_id == "6b02e3e9c9420072284fa454"


def test_captured_statuses_are_read() -> None:
    primary = parse_status(HOSTS[0], CONFIG, answer("status_primary"))
    secondary = parse_status(HOSTS[1], CONFIG, answer("status_secondary"))
    assert (primary.state, primary.term) == (State.PRIMARY, 1)
    assert secondary.state is State.SECONDARY
    assert primary.applied > (0, 0)
    assert primary.applied_at is not None


def test_a_healthy_set_needs_nothing() -> None:
    move = decide(WANTED, healthy())
    assert move == Nothing(f"primary {HOSTS[0]} in term 1, all 3 members healthy")


def test_only_when_all_are_empty_the_first_initiates() -> None:
    assert decide(WANTED, EMPTY) == Initiate(HOSTS[0], "no member holds a configuration")


@pytest.mark.parametrize("number", range(3))
def test_a_silent_member_forbids_the_initiation(number: int) -> None:
    move = decide(WANTED, with_answer(EMPTY, number, SILENT[number]))
    assert move == Wait(f"{HOSTS[number]} does not answer; it may hold the set's configuration")


def test_no_mixture_of_answers_initiates_beside_a_configuration() -> None:
    """Every combination of empty, silent and configured members with at least one configuration."""
    kinds = (EMPTY, SILENT, healthy(), headless())
    for chosen in product(range(len(kinds)), repeat=3):
        answers = [kinds[kind][number] for number, kind in enumerate(chosen)]
        if any(one.config or one.silent for one in answers):
            assert not isinstance(decide(WANTED, answers), Initiate), answers


def test_a_wiped_member_waits_for_the_others() -> None:
    answers = with_answer(healthy(), 2, EMPTY[2])
    assert decide(WANTED, answers) == Wait(f"{HOSTS[2]} is UNKNOWN", led=True)


def test_a_wiped_first_member_is_no_new_set() -> None:
    answers = with_answer(headless(), 0, EMPTY[0])
    assert decide(WANTED, answers) == StepUp(HOSTS[2], "no primary")


def test_two_sets_under_one_name_are_refused() -> None:
    other = replace(CONFIG, set_id="another")
    move = decide(WANTED, with_answer(healthy(), 2, Answer(HOSTS[2], other, State.PRIMARY)))
    assert isinstance(move, Refuse)
    assert move.why == (
        f"shard-a: two replica sets have been initiated, by {HOSTS[0]}, {HOSTS[1]} and {HOSTS[2]}"
    )


def test_a_set_of_another_name_is_refused() -> None:
    move = decide(WANTED, healthy(replace(CONFIG, name="shard-z")))
    assert isinstance(move, Refuse)
    assert "belong to a set named shard-z" in move.why


def test_a_member_that_the_topology_does_not_name_is_refused() -> None:
    smaller = replace(WANTED, members=WANTED.members[:2])
    move = decide(smaller, healthy()[:2])
    assert isinstance(move, Refuse)
    assert move.why == f"shard-a: has members that the topology does not name: {HOSTS[2]}"


def test_without_a_primary_the_most_advanced_steps_up() -> None:
    assert decide(WANTED, headless()) == StepUp(HOSTS[2], "no primary")


def test_right_after_the_initiation_the_only_secondary_steps_up() -> None:
    answers = [headless()[0], *EMPTY[1:]]
    assert decide(WANTED, answers) == StepUp(HOSTS[0], "no primary")


def test_without_a_majority_nobody_steps_up() -> None:
    move = decide(WANTED, [headless()[0], *SILENT[1:]])
    assert move == Wait("no primary, and only 1 of 3 votes answer")


def test_starting_members_are_waited_for() -> None:
    starting = [replace(one, state=State.STARTUP2) for one in headless()]
    assert decide(WANTED, starting) == Wait("no primary, and no member is ready to become one")


def test_an_arbiter_never_steps_up() -> None:
    arbiter = replace(CONFIG.members[2], arbiter=True, priority=0, tags=())
    config = replace(CONFIG, members=(*CONFIG.members[:2], arbiter))
    wanted = replace(WANTED, members=config.members)
    answers = [replace(one, config=config) for one in headless()]
    assert decide(wanted, answers) == StepUp(HOSTS[1], "no primary")


def test_two_primaries_are_waited_out() -> None:
    answers = with_answer(healthy(), 1, replace(healthy()[1], state=State.PRIMARY))
    assert isinstance(decide(WANTED, answers), Wait)


def test_a_dead_member_leaves_the_set_led() -> None:
    move = decide(WANTED, with_answer(healthy(), 1, SILENT[1]))
    assert move == Wait(f"{HOSTS[1]} does not answer", led=True)


def test_drifted_timings_are_healed() -> None:
    move = decide(replace(WANTED, timings=Timings(4000, 500, 4)), healthy())
    assert isinstance(move, Reconfigure)
    assert (move.host, move.why) == (HOSTS[0], "not as the topology has it: settings")
    sent = next_document(move)
    assert sent["version"] == CONFIG.version + 1
    settings = sent["settings"]
    assert isinstance(settings, dict)
    assert settings["electionTimeoutMillis"] == 4000
    assert settings["replicaSetId"] == CONFIG.document["settings"]["replicaSetId"]
    assert sent["members"] == CONFIG.document["members"]


def test_a_majority_in_memory_is_healed() -> None:
    move = decide(WANTED, healthy(replace(CONFIG, journaled=False)))
    assert isinstance(move, Reconfigure)
    assert move.why == "not as the topology has it: writeConcernMajorityJournalDefault"
    assert next_document(move)["writeConcernMajorityJournalDefault"] is True


def test_drifted_members_are_healed_one_at_a_time() -> None:
    wanted = replace(
        WANTED, members=(member(0), member(1, priority=2.0), member(2, votes=0, priority=0.0))
    )
    move = decide(wanted, healthy())
    assert isinstance(move, Reconfigure)
    members = next_document(move)["members"]
    assert isinstance(members, list)
    assert [one["priority"] for one in members] == [1.0, 2.0, 1.0]
    assert members[1]["secondaryDelaySecs"] == 0  # what we do not know stays


def test_a_new_member_is_added_by_reconfiguration() -> None:
    wanted = replace(WANTED, members=(*WANTED.members, member(3)))
    move = decide(wanted, [*healthy(), Answer(HOSTS_OF[3])])
    assert isinstance(move, Reconfigure)
    members = next_document(move)["members"]
    assert isinstance(members, list)
    assert [(one["_id"], one["host"]) for one in members] == list(enumerate(HOSTS_OF))


def test_a_silent_new_member_is_waited_for_and_the_set_is_not_yet_led() -> None:
    wanted = replace(WANTED, members=(*WANTED.members, member(3)))
    move = decide(wanted, [*healthy(), Answer(HOSTS_OF[3], silent="no answer")])
    assert move == Wait("no answer", led=False)


def test_a_removed_member_is_added_again() -> None:
    two = replace(
        CONFIG,
        version=2,
        members=CONFIG.members[:2],
        document={**CONFIG.document, "version": 2, "members": CONFIG.document["members"][:2]},
    )
    answers = with_answer(healthy(two), 2, removed(HOSTS[2], CONFIG))
    move = decide(WANTED, answers)
    assert isinstance(move, Reconfigure)
    assert move.why == f"{HOSTS[2]} is not a member"


def test_the_first_document_is_what_the_server_then_reports() -> None:
    document = initial_document(replace(WANTED, holds_config=True))
    assert document["configsvr"] is True
    settings = document["settings"]
    assert isinstance(settings, dict)
    again = parse_config({**document, "settings": {**settings, "replicaSetId": "x"}})
    assert again.members == WANTED.members
    assert again.timings == TIMINGS


def test_every_interrupted_prefix_of_an_initiation_goes_on_to_the_same_set() -> None:
    """A provision may die after any move; whatever it left, the next one never starts anew."""
    prefixes = [
        EMPTY,
        [headless()[0], *EMPTY[1:]],
        [*headless()[:2], EMPTY[2]],
        headless(),
        with_answer(healthy(), 2, EMPTY[2]),
        healthy(),
    ]
    moves = [type(decide(WANTED, prefix)) for prefix in prefixes]
    assert moves == [Initiate, StepUp, StepUp, StepUp, Wait, Nothing]


ARBITER = Member("h:1", arbiter=True, priority=0)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (WANTED.members, ""),
        ((*WANTED.members, member(3)), ""),
        (WANTED.members[:1], "has 1 votes: no majority is left"),
        (WANTED.members[:2], "has 2 votes: no majority is left"),
        ((*WANTED.members[:2], ARBITER), "has 2 data-bearing votes: a majority write needs all"),
        (
            (member(0), member(1, priority=0.0), member(2, priority=0.0)),
            "no second member that may become primary",
        ),
    ],
)
def test_what_one_loss_would_do(members: tuple[Member, ...], said: str) -> None:
    why = single_point_of_failure(replace(CONFIG, members=members))
    assert said in why
    assert bool(said) == bool(why)
