"""Defects of the write chain, planted into a copy of a run's evidence: each must be found."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from cluster.drill.evidence import COLLECTED, READ_BACK, load_run, write_config
from cluster.drill.selftest import choose
from cluster.drill.selftest.choose import NotPlantable
from cluster.drill.selftest.copy import Copy
from cluster.drill.selftest.defects import Defect
from cluster.drill.verdict import Validity
from skillswap_ops.traffic.chain_checks import (
    CHAINS,
    CHAINS_FILE,
    CLOSED,
    DUPLICATES,
    MESSAGES,
    ORPHANS,
    Chains,
    Collected,
    IntentRow,
    MessageRow,
    SessionRow,
    amount_of,
)

STREAM = "promised"  # of the run that never was: its operations are chains


def furnish(run: Path) -> None:
    """Let the operations that a genuine run has stored be chains, all of them whole."""
    config = load_run(run).config
    number = next(each.number for each in config.streams if each.name == STREAM)
    ops = np.load(run / READ_BACK.format(number=number)).tolist()
    found = Chains(
        sessions=tuple(
            SessionRow(
                id=f"s{op}", op=op, asked=f"s{op}", open=False, message=f"m{op}", intent=f"i{op}"
            )
            for op in ops
        ),
        messages=tuple(MessageRow(id=f"m{op}", session=f"s{op}") for op in ops),
        intents=tuple(
            IntentRow(id=f"i{op}", key=f"session:s{op}", amount=amount_of(op)) for op in ops
        ),
    )
    (run / COLLECTED).mkdir(exist_ok=True)
    _write(run, Collected(streams={STREAM: found}))
    write_config(run, config.model_copy(update={"checks": (*config.checks, CHAINS)}))


def _write(run: Path, collected: Collected) -> None:
    (run / COLLECTED / CHAINS_FILE).write_text(collected.model_dump_json(), "utf-8")


def _change(copy: Copy, change: Callable[[Chains], Chains]) -> str:
    """Change the first stream's chains. Raises NotPlantable where there are none."""
    path = copy.folder / COLLECTED / CHAINS_FILE
    if not path.exists():
        raise NotPlantable("no chain was written in this run")
    streams = dict(Collected.model_validate_json(path.read_bytes()).streams)
    name = next((name for name, found in streams.items() if found.sessions), None)
    if name is None:
        raise NotPlantable("no chain was kept in this run")
    streams[name] = change(streams[name])
    _write(copy.folder, Collected(streams=streams))
    return name


def session_without_intent(copy: Copy) -> str:
    """A closed chain whose intent is gone."""
    return _change(copy, lambda old: old.model_copy(update={"intents": old.intents[1:]}))


def without_message(copy: Copy) -> str:
    """A closed chain whose message an election took, and nobody put again."""
    return _change(copy, lambda old: old.model_copy(update={"messages": old.messages[1:]}))


def intent_without_session(copy: Copy) -> str:
    """An intent of a session that is nowhere."""

    def plant(old: Chains) -> Chains:
        stray = IntentRow(id="planted", key="session:planted", amount=1)
        return old.model_copy(update={"intents": (*old.intents, stray)})

    return _change(copy, plant)


def message_without_session(copy: Copy) -> str:
    """A message of a session that is nowhere."""

    def plant(old: Chains) -> Chains:
        stray = MessageRow(id="planted", session="planted")
        return old.model_copy(update={"messages": (*old.messages, stray)})

    return _change(copy, plant)


def second_session(copy: Copy) -> str:
    """One request has made two sessions."""

    def plant(old: Chains) -> Chains:
        first = next((row for row in old.sessions if not row.open), old.sessions[0])
        twin = first.model_copy(update={"id": "planted", "message": "", "intent": ""})
        return old.model_copy(update={"sessions": (*old.sessions, twin)})

    return _change(copy, plant)


def second_intent(copy: Copy) -> str:
    """An intent is there twice."""
    return _change(
        copy, lambda old: old.model_copy(update={"intents": (*old.intents, old.intents[0])})
    )


def unfinished(copy: Copy) -> str:
    """A chain that nobody has finished."""

    def plant(old: Chains) -> Chains:
        first = old.sessions[0].model_copy(update={"open": True})
        return old.model_copy(update={"sessions": (first, *old.sessions[1:])})

    return _change(copy, plant)


def lost_chain(copy: Copy) -> str:
    """A chain that was acknowledged is gone, with all that belonged to it."""
    stream = choose.stream(copy.measures, choose.promises_all, "has promised to lose nothing")
    op = int(choose.kept_ack(stream))

    def plant(old: Chains) -> Chains:
        gone = {row.id for row in old.sessions if row.op == op}
        return Chains(
            sessions=tuple(row for row in old.sessions if row.id not in gone),
            messages=tuple(row for row in old.messages if row.session not in gone),
            intents=tuple(
                row for row in old.intents if row.key.removeprefix("session:") not in gone
            ),
        )

    _change(copy, plant)
    rows = choose.read(stream)
    copy.change_read(stream, rows[rows != op])
    return stream.config.name


CHAIN_DEFECTS = (
    Defect("a session without its intent", ORPHANS, Validity.INVALID, session_without_intent),
    Defect("a closed chain without its message", MESSAGES, Validity.INVALID, without_message),
    Defect("an intent without its session", ORPHANS, Validity.INVALID, intent_without_session),
    Defect("a message without its session", ORPHANS, Validity.INVALID, message_without_session),
    Defect("a request that made two sessions", DUPLICATES, Validity.INVALID, second_session),
    Defect("an intent that is there twice", DUPLICATES, Validity.INVALID, second_intent),
    Defect("a chain that nobody finished", CLOSED, Validity.INVALID, unfinished),
    Defect("an acknowledged chain is lost", "loss", Validity.INVALID, lost_chain),
)
