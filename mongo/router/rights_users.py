"""The rights that commands on users and roles need, as MongoDB has them."""

from collections.abc import Iterable, Iterator

from mongo.router.authz import (
    ALL_DATABASES,
    CLUSTER,
    Kind,
    Need,
    Needs,
    Resource,
    need,
    parse_resource,
    place,
)
from mongo.router.command import Command, Principal, UserName
from mongo.router.document import ARRAY, DOCUMENT, STRING, Document, mismatch

ADMIN = "admin"


def create_user(command: Command, _who: Principal) -> Needs:
    """To create users here, and to grant their roles."""
    here = place(command.database)
    return (need(here, "createUser"), *_granted(command), *_restricted(command))


def update_user(command: Command, who: Principal) -> Needs:
    """To change what the command changes; one's own password may be one's own to change."""
    here, body = place(command.database), command.body
    own = UserName(body.text(command.argument) or "", command.database) == who.user
    needs: list[Need] = []
    if "pwd" in body or "mechanisms" in body:
        needs.append(Need(here, _or_own("changePassword", "changeOwnPassword", own=own)))
    if "customData" in body:
        needs.append(Need(here, _or_own("changeCustomData", "changeOwnCustomData", own=own)))
    if "roles" in body:
        needs.append(need(ALL_DATABASES, "revokeRole"))
    return (*needs, *_granted(command), *_restricted(command), *_never_nothing(needs, here))


def _or_own(action: str, own_action: str, *, own: bool) -> tuple[frozenset[str], ...]:
    return (frozenset({action}), *((frozenset({own_action}),) * own))


def _never_nothing(needs: list[Need], here: Resource) -> Needs:
    return () if needs else (need(here, "changePassword"),)


def users_info(command: Command, who: Principal) -> Needs:
    """To view the users asked for; one may always view oneself."""
    return tuple(_viewed(command, who, "viewUser", "user"))


def roles_info(command: Command, who: Principal) -> Needs:
    """To view the roles asked for."""
    return tuple(_viewed(command, who, "viewRole", "role"))


def grant(command: Command, _who: Principal) -> Needs:
    """To grant every role and privilege that the command names."""
    return _listed(command, "grantRole")


def revoke(command: Command, _who: Principal) -> Needs:
    """To revoke every role and privilege that the command names."""
    return _listed(command, "revokeRole")


def _listed(command: Command, action: str) -> Needs:
    """The action for all that is listed; to list nothing is no way to need nothing."""
    needs = (*_roles(command, action), *_privileges(command, action))
    return needs or (need(place(command.database), action),)


def create_role(command: Command, _who: Principal) -> Needs:
    """To create roles here, and to grant what they hold."""
    here = place(command.database)
    privileges = _privileges(command, "grantRole")
    return (need(here, "createRole"), *_granted(command), *privileges, *_restricted(command))


def update_role(command: Command, _who: Principal) -> Needs:
    """To revoke any role, and to grant what this one will hold."""
    anything = need(ALL_DATABASES, "revokeRole")
    privileges = _privileges(command, "grantRole")
    return (anything, *_granted(command), *privileges, *_restricted(command))


def _granted(command: Command) -> Iterator[Need]:
    return _roles(command, "grantRole")


def _roles(command: Command, action: str) -> Iterator[Need]:
    for database in _databases_of(command.body, "roles", command.database):
        yield need(place(database), action)


def _databases_of(body: Document, field: str, default: str) -> Iterable[str]:
    """The databases of a list of roles: `"name"` or `{role, db}`."""
    listed = body.document(field)
    for key in listed or ():
        if listed is not None and listed.type_of(key) == STRING:
            yield default
        else:
            role = listed.document(key) if listed is not None else None
            yield _required(role, "db")


def _privileges(command: Command, action: str) -> Iterator[Need]:
    for privilege in command.body.documents("privileges"):
        resource = parse_resource(privilege.value("resource") or {})
        local = resource is not None and resource.kind is Kind.PLACE and resource.database
        yield need(place(resource.database if resource and local else ADMIN), action)


def _restricted(command: Command) -> Iterator[Need]:
    if "authenticationRestrictions" in command.body:
        yield need(place(command.database), "setAuthenticationRestriction")


def _viewed(command: Command, who: Principal, action: str, kind: str) -> Iterator[Need]:
    body, field = command.body, command.argument
    kind_of = body.type_of(field)
    if kind_of == STRING:
        names = [UserName(body.text(field) or "", command.database)]
    elif kind_of in {DOCUMENT, ARRAY}:
        asked = body.document(field) or Document(b"\5\0\0\0\0")
        if asked.truth("forAllDBs"):
            yield need(CLUSTER, action)
            return
        names = list(_named(asked, command.database, kind, many=kind_of == ARRAY))
    else:
        yield need(place(command.database), action)
        return
    for name in names:
        if kind != "user" or name != who.user:
            yield need(place(name.database), action)


def _named(asked: Document, default: str, kind: str, *, many: bool) -> Iterator[UserName]:
    if not many:
        yield UserName(_required(asked, kind), _required(asked, "db"))
        return
    for key in asked:
        if asked.type_of(key) == STRING:
            yield UserName(asked.text(key) or "", default)
        else:
            each = asked.document(key)
            yield UserName(_required(each, kind), _required(each, "db"))


def _required(document: Document | None, field: str) -> str:
    text = document.text(field) if document is not None else None
    if text is None:
        raise mismatch(field, "a string")
    return text
