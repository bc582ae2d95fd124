"""The pages: read, checked, and true of the command line as it is."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import InvalidInputError
from runbooks import actions
from runbooks.catalogue import SECTIONS, catalogue, parse
from runbooks.model import ACTIONS, Do, Observe, Runbook, Severity, Verify
from runbooks.rules import PROGRAM, command_words
from skillswap_ops.main import cli

PAGES = sorted((Path(__file__).parents[2] / "runbooks" / "pages").glob("*.md"))
GOOD = (Path(__file__).parents[2] / "runbooks" / "pages" / "mongo-primary-lost.md").read_text(
    "utf-8"
)
ISSUE = {
    "mongo-primary-lost", "mongo-shard-offline", "mongo-config-lost", "mongo-member-corrupted",
    "mongo-replication-lag", "mongo-disk-filling", "router-lost", "pg-primary-lost",
    "pg-sync-standby-lost", "pg-split-brain", "pg-replication-lag", "pg-archive-failing",
    "pg-etcd-quorum-lost", "pg-pitr", "region-lost", "pg-failback", "edge-latency",
    "certificate-rotation", "planned-switchover", "planned-upgrade", "add-shard",
    "restore-proof-failed", "service-rollout-stuck",
}  # fmt: skip


def test_every_condition_that_was_asked_for_has_its_page() -> None:
    assert set(catalogue()) >= ISSUE
    assert {path.stem for path in PAGES} == set(catalogue())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_is_whole(path: Path) -> None:
    runbook = parse(path.read_text("utf-8"), path.name)
    assert list(runbook.sections) == list(SECTIONS)
    assert all(
        len(runbook.sections[name]) > 4
        for name in SECTIONS
        if name not in {"Steps", "Verification"}
    )
    planned = runbook.front.severity is Severity.PLANNED
    assert planned or runbook.front.alerts
    for each in runbook.steps:
        assert each.step.if_it_fails.say
        assert re.match(r"\d+\. \S", each.title), each.title


def test_alerts_belong_to_one_page() -> None:
    named = [alert for one in catalogue().values() for alert in one.front.alerts]
    assert len(named) == len(set(named))


def test_every_action_is_there_and_takes_what_the_pages_give() -> None:
    assert set(ACTIONS) == set(actions._ACTIONS)


@pytest.mark.parametrize("runbook", catalogue().values(), ids=lambda one: one.id)
def test_every_command_exists_and_takes_these_options(runbook: Runbook) -> None:
    for text in (each for one in quoted(runbook) for each in chosen(runbook, one)):
        assert not (wrong := command_problem(text)), f"{runbook.id}: `{text}`: {wrong}"


def test_the_check_of_commands_can_fail() -> None:
    assert command_problem("skillswap-ops provision") == ""
    assert "no command" in command_problem("skillswap-ops provison")
    assert "no option --all" in command_problem("skillswap-ops provision --all")
    assert "no command" in command_problem("skillswap-ops dr promot")
    assert "takes no argument" in command_problem("skillswap-ops provision now")
    assert "wants a value" in command_problem("skillswap-ops logs pg1 --lines")
    assert "is not one of" in command_problem("skillswap-ops backup run --kind half")
    assert "needs SERVER" in command_problem("skillswap-ops logs")
    assert "mongo-primary-lost" in catalogue()
    assert command_problem("skillswap-ops runbook run mongo-primary-lost --shard x") == ""
    assert "no option --shrd" in command_problem(
        "skillswap-ops runbook run mongo-primary-lost --shrd x"
    )


def quoted(runbook: Runbook) -> Iterator[str]:
    """Every command of a page: of its steps, and in backticks anywhere."""
    for each in runbook.steps:
        if isinstance(each.step, Observe | Do | Verify) and each.step.run:
            yield each.step.run
    yield from re.findall(rf"`({PROGRAM} [^`]*)`", runbook.text)
    for short in re.findall(
        r"`((?:dr|drill|backup|restore|services|provision) ?[^`]*)`", runbook.text
    ):
        yield f"{PROGRAM} {short}"


def chosen(runbook: Runbook, text: str) -> list[str]:
    """The command with each choice of an argument that has some."""
    found = [text]
    for name, about in runbook.front.arguments.items():
        found = [
            one.replace(f"{{{name}}}", choice)
            for one in found
            for choice in about.choices or (f"{{{name}}}",)
        ]
    return found


def command_problem(text: str) -> str:
    """What the command line would refuse of it; arguments in braces stand for anything."""
    words = command_words(text)[1:]
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        word = words.pop(0) if words else ""
        found = command.get_command(context, word)
        if found is None:
            return f"there is no command {word}"
        command, context = found, click.Context(found, parent=context, info_name=word)
    return _refused(command, words)


def _refused(command: click.Command, words: list[str]) -> str:
    options = {name: one for one in command.params for name in one.opts if name.startswith("-")}
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    given, left = list(words), 0
    while given:
        word = given.pop(0)
        if not word.startswith("-"):
            left += 1
            continue
        option = options.get(word)
        if option is None:
            return f"there is no option {word}"
        if isinstance(option, click.Option) and option.is_flag:
            continue
        if not given or given[0].startswith("-"):
            return f"{word} wants a value"
        value = given.pop(0)
        if isinstance(option.type, click.Choice) and value not in option.type.choices:
            return f"{value} is not one of {option.type.choices}"
    if left and not arguments:
        return "takes no argument"
    if arguments and arguments[0].required and not left:
        return f"needs {arguments[0].name.upper() if arguments[0].name else ''}"
    return ""


def changed(old: str, new: str) -> str:
    assert old in GOOD, old
    return GOOD.replace(old, new, 1)


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("", "must begin with front matter"),
        ("# Title\n", "must begin with front matter"),
        (changed("serving >= majority and primary == \"\"", "servng >= majority"),
         'symptoms[0].when: unknown fact "servng" (did you mean "serving"?)'),
        (changed("each: mongo_set", "each: mongo_sets"),
         'symptoms[0].each: unknown kind of fact "mongo_sets" (did you mean "mongo_set"?)'),
        (changed("{shard: name}", "{shard: nme}"), 'unknown fact "nme" (did you mean "name"?)'),
        (changed("{shard: name}", "{shrd: name}"), 'unknown argument "shrd"'),
        (changed("has no primary; {serving}", "has no primary; {servin}"),
         'symptoms[0].evidence: unknown name "servin"'),
        (changed("{name} has no primary", "{name!r} has none"), "braces hold a name alone"),
        (changed("{name} has no primary", "{name has no primary"), "cannot be read"),
        (changed("severity: critical", "severity: bad"), "severity: must be "),
        (changed("severity: critical", "severity: planned"), "is planned where there is no"),
        (changed("## Impact", "## Consequences"), "must have the sections What you see, Impact"),
        (changed("step: observe", "step: look"), "steps[0].step: must be one of "),
        (changed("id: elected", "id: look"), 'steps[1].id: is given twice (got "look")'),
        (changed("run: skillswap-ops status", "run: rm -rf /"), "must be a command of"),
        (changed("run: skillswap-ops status", "run: ops 'status"), "No closing quotation"),
        (changed("then: go on", "then: nowhere"), '["if it fails"].then: must be'),
        (changed("within: 30", "within: 0"), "steps[1].within: must be more than 0"),
        (changed("if it fails: {then: go on, say: \"what follows does not need it\"}", ""),
         '["if it fails"]: is required'),
        (changed("safe: true", "safe: perhaps"), "must be true or false"),
        (changed("safe: true", "saf: true"), 'saf: unknown field (did you mean "safe"?)'),
        (changed("if it fails: {then: go on, say", "if it fails: {then: go on, sai"),
         'unknown field (did you mean "say"?)'),
        (changed("safe: true", "action: mongo-stepdown"), "give one of `run` and `action`"),
        (changed("id: mongo-primary-lost", "id: mongo-primary-lost\nid: x"), "is given twice"),
        (changed("name == arg.shard", "name == arg.shrd"), 'unknown argument "shrd"'),
        (changed("hides:\n", "hides:\n  mongo-primary-lost: group\n"), "cannot hide itself"),
    ],
)  # fmt: skip
def test_what_is_wrong_names_file_field_and_reason(page: str, says: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse(page, "page.md")
    assert says in caught.value.message
    assert re.match(r"page\.md:\d+: ", caught.value.message)


def test_the_line_is_the_one_that_is_wrong() -> None:
    page = changed('primary == ""', "primry == 3")
    with pytest.raises(InvalidInputError) as caught:
        parse(page, "page.md")
    assert "page.md:2: symptoms[0].when" in caught.value.message


def test_all_that_is_wrong_is_said_at_once() -> None:
    page = changed("step: observe", "step: look").replace("within: 300", "within: x")
    with pytest.raises(InvalidInputError) as caught:
        parse(page, "page.md")
    assert len(caught.value.message.splitlines()) == 2


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 12))
def test_a_page_that_was_damaged_is_read_or_refused(seed: int, wounds: int) -> None:
    chance = random.Random(seed)
    text = list(chance.choice(PAGES).read_text("utf-8"))
    for _ in range(wounds):
        place = chance.randrange(len(text))
        match chance.randrange(3):
            case 0:
                del text[place : place + chance.randrange(40)]
            case 1:
                text.insert(place, chance.choice("{}[]:'\"`#-\n\t\0 &*!|>%@é\ud800"))
            case _:
                start = chance.randrange(len(text))
                text[place:place] = text[start : start + chance.randrange(60)]
    try:
        parse("".join(text), "page.md")
    except InvalidInputError:
        return


@given(st.text(max_size=300))
def test_any_text_is_a_page_or_an_error(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse(f"---\n{text}\n---\n{text}", "page.md")
