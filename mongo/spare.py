"""Whether a replica set can spare a member, or its primary's lead. Pure.

What is asked of the members is in `mongo.members.observe`.
"""

from collections.abc import Mapping, Sequence

from mongo.set_model import SERVING, Answer, SetConfig, State
from mongo.stepdown import CATCH_UP_SECONDS

Names = Mapping[str, str]  # the nodes' names by their hosts


def newest_config(answers: Sequence[Answer]) -> SetConfig | None:
    """The newest configuration that any member holds; None where no member says."""
    found = [answer.config for answer in answers if answer.config]
    return max(found, key=lambda config: (config.term, config.version), default=None)


def primary(answers: Sequence[Answer]) -> Answer | None:
    """Who leads: of two that say so the one of the newer term."""
    claims = [answer for answer in answers if answer.state is State.PRIMARY]
    return max(claims, key=lambda answer: answer.term, default=None)


def cannot_be_without(answers: Sequence[Answer], host: str, names: Names) -> str:
    """Why the set cannot be without this member, which does not lead; "" if it can.

    The others must hold a majority of the votes and have a primary, and as many of them as a
    majority write needs must be level with it: else the member takes with it what is acknowledged.
    """
    config, leads = newest_config(answers), primary(answers)
    name = names.get(host, host)
    if config is None or leads is None:
        return f"{config.name if config else 'the set'} has no primary: {_silence(answers)}"
    if leads.host == host:
        return f"{name} is the primary of {config.name}: it must hand over first"
    others = [answer for answer in answers if answer.host != host and _serves(answer)]
    votes = {member.host: member.votes for member in config.members}
    total, left = sum(votes.values()), sum(votes.get(answer.host, 0) for answer in others)
    if left * 2 <= total:
        return (
            f"{config.name} cannot be without {name}: {left} of {total} votes would be left, "
            f"which is no majority ({_unwell(answers, host, names)})"
        )
    bearing = sum(bool(member.votes) and not member.arbiter for member in config.members)
    needed = min(total // 2 + 1, bearing)
    level = _level(others, votes, leads)
    if level < needed:
        return (
            f"{config.name} cannot be without {name}: a majority write needs {needed} members with "
            f"data, and {level} would be level ({_unwell(answers, host, names, leads)})"
        )
    return ""


def cannot_leave(answers: Sequence[Answer], host: str, names: Names) -> str:
    """Why the set cannot be reconfigured without this member; "" if it can, or has been.

    One that leads must find an heir first. A reconfiguration needs a majority of the votes that
    there are, the member's own included. Then those that stay count alone: a majority of their
    votes must serve, and as many of them as a majority write will need must be level with the
    primary.
    """
    config, leads = newest_config(answers), primary(answers)
    name = names.get(host, host)
    if config is None or leads is None:
        return f"{config.name if config else 'the set'} has no primary: {_silence(answers)}"
    if host not in config.hosts:
        return ""
    if leads.host == host and (reason := cannot_hand_over(answers, names)):
        return reason
    votes = {member.host: member.votes for member in config.members}
    heard = sum(votes.get(answer.host, 0) for answer in answers if _serves(answer))
    if heard * 2 <= sum(votes.values()):
        return (
            f"{config.name} cannot be reconfigured: only {heard} of {sum(votes.values())} votes "
            f"answer ({_unwell(answers, '', names)})"
        )
    staying = [member for member in config.members if member.host != host]
    others = [answer for answer in answers if answer.host != host and _serves(answer)]
    votes.pop(host, None)
    total, left = sum(votes.values()), sum(votes.get(answer.host, 0) for answer in others)
    bearing = sum(bool(member.votes) and not member.arbiter for member in staying)
    needed = min(total // 2 + 1, bearing)
    level = _level(others, votes, leads)
    if left * 2 <= total or level < needed:
        return (
            f"{config.name} cannot go on without {name}: of its {total} votes {left} would serve, "
            f"and of the {needed} members that a majority write needs {level} would be level "
            f"({_unwell(answers, host, names, leads)})"
        )
    return ""


def cannot_hand_over(answers: Sequence[Answer], names: Names) -> str:
    """Why the primary cannot hand over; "" if it can.

    Another member that may be elected must be level with it to within the time that a step-down
    waits for, and a majority of the votes must answer.
    """
    config, leads = newest_config(answers), primary(answers)
    if config is None or leads is None:
        return f"{config.name if config else 'the set'} has no primary: {_silence(answers)}"
    votes = {member.host: member.votes for member in config.members}
    heard = sum(votes.get(answer.host, 0) for answer in answers if _serves(answer))
    if heard * 2 <= sum(votes.values()):
        return f"{config.name}: only {heard} of {sum(votes.values())} votes answer"
    electable = {member.host for member in config.members if member.electable}
    heirs = [
        answer
        for answer in answers
        if answer.state is State.SECONDARY
        and _serves(answer)
        and answer.host in electable
        and not _late(answer, leads)
    ]
    if not heirs:
        name = names.get(leads.host, leads.host)
        return (
            f"{config.name}: no secondary could take over from {name} "
            f"({_unwell(answers, leads.host, names, leads)})"
        )
    return ""


def _serves(answer: Answer) -> bool:
    return not answer.silent and answer.state in SERVING


def _level(others: Sequence[Answer], votes: Mapping[str, int], leads: Answer) -> int:
    """How many of these vote, hold data and are level with the primary."""
    return sum(
        answer.state is not State.ARBITER
        and bool(votes.get(answer.host))
        and not _late(answer, leads)
        for answer in others
    )


def _late(answer: Answer, leads: Answer) -> int:
    """Seconds behind the primary, where those are more than a step-down waits for."""
    behind = leads.applied[0] - answer.applied[0]
    return behind if behind > CATCH_UP_SECONDS else 0


def _unwell(
    answers: Sequence[Answer], apart: str, names: Names, leads: Answer | None = None
) -> str:
    words = []
    for answer in answers:
        name = names.get(answer.host, answer.host)
        if answer.host == apart:
            continue
        if answer.silent:
            words.append(f"{name} does not answer")
        elif answer.state not in SERVING:
            words.append(f"{name} is {answer.state.name}")
        elif leads and answer.state is not State.ARBITER and (seconds := _late(answer, leads)):
            words.append(f"{name} is {seconds} s behind")
    return ", ".join(words) or "there are no more members"


def _silence(answers: Sequence[Answer]) -> str:
    silent = [answer for answer in answers if answer.silent]
    return f"{len(silent)} of {len(answers)} members do not answer"
