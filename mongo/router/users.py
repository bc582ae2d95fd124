"""The cluster's users: read from the config servers, and kept while those are away.

A user is read at his first log-in and read again every so often while he is in use, so a changed
password, role or removal is seen within that time; changes made through this router at once. When
the config servers cannot be asked, what is known stays in force.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from mongo.router import log
from mongo.router.authz import EVERYTHING, Rights, parse_privilege
from mongo.router.command import UserName
from mongo.router.scram import (
    INTERNAL_DATABASE,
    INTERNAL_USER,
    MECHANISM,
    Credential,
    parse_credential,
)

INTERNAL = UserName(INTERNAL_USER, INTERNAL_DATABASE)
MAX_USERS = 1000  # known at once; the oldest is forgotten
AWAY_SECONDS = 5.0  # after a vain question to the config servers the next is not waited for
Restrictions = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class User:
    """A user as the config servers know him. `mechanisms` he can log in by; roles are for show."""

    name: UserName
    credentials: tuple[Credential, ...]
    rights: Rights
    roles: tuple[Mapping[str, str], ...] = ()
    restrictions: tuple[Restrictions, ...] = ()

    def may_come_from(self, client: str, server: str) -> bool:
        """Whether he may log in from and to these addresses: each list has one that is met."""
        return all(
            any(_met(each, client, server) for each in choices) for choices in self.restrictions
        )


def _met(restriction: Mapping[str, Any], client: str, server: str) -> bool:
    """Of each kind of range that is given one must fit; what is not known here does not."""
    addresses = {"clientSource": client, "serverAddress": server}
    return all(
        kind in addresses
        and any(ip_address(addresses[kind]) in ip_network(each, strict=False) for each in ranges)
        for kind, ranges in restriction.items()
    )


def parse_user(document: Mapping[str, Any]) -> User:
    """A user of usersInfo with showCredentials and showAuthenticationRestrictions."""
    stored = document.get("credentials", {}).get(MECHANISM)
    privileges = map(parse_privilege, document.get("inheritedPrivileges", ()))
    restrictions = [
        document.get("authenticationRestrictions", ()),
        *document.get("inheritedAuthenticationRestrictions", ()),
    ]
    return User(
        UserName(document["user"], document["db"]),
        (parse_credential(stored),) if stored else (),
        Rights(tuple(privilege for privilege in privileges if privilege)),
        tuple(document.get("inheritedRoles", ())),
        tuple(tuple(choices) for choices in restrictions if choices),
    )


def users_info(name: UserName) -> dict[str, Any]:
    """The command that reads a user."""
    return {
        "usersInfo": {"user": name.name, "db": name.database},
        "showCredentials": True,
        "showPrivileges": True,
        "showAuthenticationRestrictions": True,
    }


Ask = Callable[[dict[str, Any]], Awaitable[Mapping[str, Any]]]


class Unavailable(Exception):  # noqa: N818 - a condition, caught where it is known what it means
    """The config servers cannot be asked now."""


class Users:
    """Users by name. `ask` runs a command on the config servers, or raises Unavailable."""

    def __init__(self, ask: Ask, internal: Sequence[Credential]) -> None:
        self._ask = ask
        self._internal = User(INTERNAL, tuple(internal), Rights((EVERYTHING,)))
        self._known: dict[UserName, User] = {}
        self._away_until = 0.0

    def known(self, name: UserName) -> User | None:
        """The user, where he is known now; None after he was dropped."""
        return self._internal if name == INTERNAL else self._known.get(name)

    async def find(self, name: UserName) -> User | None:
        """The user, read now for a log-in; what is known where the config servers are away.

        None where there is no such user. Raises Unavailable where nobody can tell.
        """
        if name == INTERNAL:
            return self._internal
        if name in self._known and time.monotonic() < self._away_until:
            return self._known[name]
        try:
            return await self._read(name)
        except Unavailable:
            if name in self._known:
                log.warning("config servers away: user taken from the cache", user=str(name))
                return self._known[name]
            raise

    async def refresh(self) -> None:
        """Read all known users again; those who are gone are forgotten."""
        for name in list(self._known):
            try:
                await self._read(name)
            except Unavailable:
                return

    async def _read(self, name: UserName) -> User | None:
        try:
            answer = await self._ask(users_info(name))
        except Unavailable:
            self._away_until = time.monotonic() + AWAY_SECONDS
            raise
        self._away_until = 0.0
        found = answer.get("users") or ()
        self._known.pop(name, None)
        if not found:
            return None
        while len(self._known) >= MAX_USERS:
            self._known.pop(next(iter(self._known)))
        user = self._known[name] = parse_user(found[0])
        return user
