"""The one next move until a member is out of its replica set for good. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from mongo.replica_set import Nothing, Reconfigure, Wait
from mongo.set_model import Answer, SetConfig
from mongo.spare import Names, cannot_leave, newest_config, primary


@dataclass(frozen=True)
class HandOver:
    """The member leads: have it step down."""

    why: str


Parting = Nothing | Wait | HandOver | Reconfigure


def next_move(answers: Sequence[Answer], host: str, names: Names) -> Parting:
    """The next move, from what the set's members answered, this one among them.

    Nothing is left to do once a majority of those that stay holds a configuration without it: only
    then can no election bring the older one back, in which its copy counts.
    """
    leads, name = primary(answers), names.get(host, host)
    config = leads.config if leads and leads.config else newest_config(answers)
    if leads is None or config is None:
        return Wait(cannot_leave(answers, host, names))
    if host not in config.hosts:
        held, total = _held(answers, config)
        words = f"{held} of {total} votes hold {config.name}'s configuration without {name}"
        return Nothing(words) if held * 2 > total else Wait(words)
    if reason := cannot_leave(answers, host, names):
        return Wait(reason)
    if leads.host == host:
        return HandOver(f"{name} leads {config.name}")
    staying = [each for each in config.document["members"] if each["host"] != host]
    return Reconfigure(leads.host, config, {"members": staying}, f"{name} is a member")


def _held(answers: Sequence[Answer], config: SetConfig) -> tuple[int, int]:
    """The votes whose members hold this configuration or a newer one, and all votes."""
    votes = {member.host: member.votes for member in config.members}
    at = (config.term, config.version)
    held = sum(
        votes.get(answer.host, 0)
        for answer in answers
        if answer.config and (answer.config.term, answer.config.version) >= at
    )
    return held, sum(votes.values())
