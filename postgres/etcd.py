"""etcd through its JSON gateway (etcd 3.4 and later): authentication, health, a few keys.

The gateway wants keys and values in base64: https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.errors import OpsError, RefusedError, UnreachableError
from cluster.inventory import Node
from cluster.web import Answer, request
from postgres.names import ETCD_PEER_PORT, ETCD_PORT, ETCD_ROOT, ETCD_USER

SECONDS = 5.0  # a password check is deliberately slow (bcrypt), on a busy machine the more so
ALREADY = ("already exist", "already granted")


@dataclass(frozen=True)
class MemberHealth:
    """A member by its own account. `leader` is whether it leads its peers."""

    leader: bool
    has_leader: bool
    term: int
    version: str
    bytes_used: int


class Etcd:
    """One etcd cluster. `token` comes from `login`."""

    def __init__(self, nodes: Sequence[Node], token: str = "") -> None:
        self._nodes = nodes
        self._token = token

    def login(self, user: str, password: str) -> "Etcd":
        """The same cluster, as that user.

        Raises RefusedError for a wrong password or where authentication is off.
        """
        answer = self._call("/v3/auth/authenticate", {"name": user, "password": password})
        if not answer.ok:
            raise RefusedError(f"etcd refuses user {user}: {_message(answer)}")
        return Etcd(self._nodes, str(answer.object().get("token", "")))

    def allows_anonymous(self) -> bool:
        """Whether a client without a password can read keys."""
        return Etcd(self._nodes)._call("/v3/kv/range", {"key": _encode("/")}).ok

    def turn_on_authentication(self, root: str, user: str, prefix: str) -> None:
        """Make the two users with these passwords, and refuse everybody else.

        `user` is the password of Patroni's user, who may use keys under `prefix` alone.
        Idempotent: it goes on where an earlier try ended.
        """
        everything = {"key": _encode(prefix), "range_end": _encode(_after(prefix))}
        permission = {"permType": "READWRITE", **everything}
        for path, body in (
            ("user/add", {"name": ETCD_ROOT, "password": root}),
            ("role/add", {"name": "root"}),
            ("user/grant", {"user": ETCD_ROOT, "role": "root"}),
            ("user/add", {"name": ETCD_USER, "password": user}),
            ("role/add", {"name": ETCD_USER}),
            ("role/grant", {"name": ETCD_USER, "perm": permission}),
            ("user/grant", {"user": ETCD_USER, "role": ETCD_USER}),
            ("enable", {}),
        ):
            self._make(path, body)

    def change_password(self, user: str, password: str) -> None:
        """Give a user another password; tokens of the whole cluster end, and are asked for anew."""
        answer = self._call("/v3/auth/user/changepw", {"name": user, "password": password})
        if not answer.ok:
            raise RefusedError(f"etcd refuses a new password for {user}: {_message(answer)}")

    def get(self, key: str) -> str | None:
        """The value of a key; None where there is none."""
        answer = self._call("/v3/kv/range", {"key": _encode(key)})
        if not answer.ok:
            raise RefusedError(f"etcd does not show {key}: {_message(answer)}")
        found = answer.object().get("kvs")
        if not isinstance(found, list) or not found:
            return None
        return base64.b64decode(str(found[0].get("value", ""))).decode()

    def put(self, key: str, value: str) -> None:
        """Write a key."""
        answer = self._call("/v3/kv/put", {"key": _encode(key), "value": _encode(value)})
        if not answer.ok:
            raise RefusedError(f"etcd refuses to write {key}: {_message(answer)}")

    def delete(self, key: str) -> None:
        """Delete a key. Idempotent."""
        answer = self._call("/v3/kv/deleterange", {"key": _encode(key)})
        if not answer.ok:
            raise RefusedError(f"etcd refuses to delete {key}: {_message(answer)}")

    def delete_if(self, key: str, value: str) -> bool:
        """Delete a key if it still has this value; whether it had."""
        compare = {"key": _encode(key), "target": "VALUE", "value": _encode(value)}
        delete = {"request_delete_range": {"key": _encode(key)}}
        answer = self._call("/v3/kv/txn", {"compare": [compare], "success": [delete]})
        return bool(answer.object().get("succeeded"))

    def _make(self, path: str, body: Mapping[str, object]) -> None:
        answer = self._call(f"/v3/auth/{path}", body)
        # Changing one's own password would end one's own session.
        own = bool(self._token) and body.get("name") == ETCD_ROOT
        if path == "user/add" and "already exist" in answer.text and not own:
            answer = self._call("/v3/auth/user/changepw", body)
        if not answer.ok and not any(text in answer.text for text in ALREADY):
            raise OpsError(f"etcd refuses {path}: {_message(answer)}")

    def _call(self, path: str, body: object) -> Answer:
        """Ask the first member that answers. Raises UnreachableError where none does."""
        headers = {"Authorization": self._token} if self._token else {}
        reason = ""
        for node in self._nodes:
            try:
                answer = request(
                    node.address, ETCD_PORT, "POST", path, body=body, headers=headers,
                    seconds=SECONDS, trust=node.trust,
                )  # fmt: skip
            except UnreachableError as error:
                reason = error.message
                continue
            if answer.status != 503:  # "no leader", "request timed out": try another
                return answer
            reason = _message(answer)
        raise UnreachableError(f"etcd does not answer: {reason}", "look at `status`")


def member_health(node: Node, seconds: float = 1.0) -> MemberHealth:
    """A member's own account. Raises UnreachableError."""
    answer = request(
        node.address,
        ETCD_PORT,
        "POST",
        "/v3/maintenance/status",
        body={},
        seconds=seconds,
        trust=node.trust,
    )
    if not answer.ok:
        raise UnreachableError(f"{node.name} does not tell its status: {_message(answer)}")
    return parse_health(answer.object())


def knows_no_member(node: Node, own: str = "", seconds: float = 1.0) -> bool:
    """Whether a member that runs does not even know itself: its cluster was never formed.

    `own` is a file with a certificate, which peers ask for where they speak TLS. Raises
    UnreachableError where it does not run.
    """
    answer = request(
        node.address, ETCD_PEER_PORT, "GET", "/members", seconds=seconds, trust=node.trust, own=own
    )
    return answer.ok and answer.text.strip() in {"null", "[]"}


def parse_health(status: dict[str, object]) -> MemberHealth:
    """The answer of /v3/maintenance/status. Numbers come as text; a zero is left out."""
    header = status.get("header")
    own = header.get("member_id") if isinstance(header, dict) else None
    leader = status.get("leader")
    return MemberHealth(
        leader=leader is not None and leader == own,
        has_leader=str(leader or "0") != "0",
        term=int(str(status.get("raftTerm", 0))),
        version=str(status.get("version", "")),
        bytes_used=int(str(status.get("dbSize", 0))),
    )


def _message(answer: Answer) -> str:
    return str(answer.object().get("error") or answer.text[:200] or answer.status)


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _after(prefix: str) -> str:
    """The end of the range of all keys with a prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
