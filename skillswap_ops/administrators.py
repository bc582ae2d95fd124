"""Names an administrator: the operator's request to the service that keeps the audit journal."""

from dataclasses import dataclass

from cluster.context import Context
from cluster.errors import InvalidInputError, OpsError, UnreachableError
from cluster.web import Answer, request
from manifests.services import places, releases
from manifests.services.instances import signing
from manifests.services.settings import Deadlines
from skillswap_ops.services.base.tokens import Tokens

SERVICE = "admin"
OPERATOR = "operator"  # what the token says instead of a service's name
PATH = "/internal/administrators"
SHOWN_CHARACTERS = 300


@dataclass(frozen=True)
class Made:
    """An administrator; `added` is false where they were one before."""

    user: str
    added: bool


def make_administrator(context: Context, email: str, reason: str) -> Made:
    """Make the user who logs in with `email` an administrator. Idempotent.

    Raises InvalidInputError where nobody has that account, UnreachableError where no instance of
    the service answers.
    """
    if SERVICE not in releases.load(context.layout.releases).services:
        raise InvalidInputError(
            "the services are not deployed", "`skillswap-ops services deploy --stage mvp` does"
        )
    answer = _ask(context, email, reason)
    if answer.status == 404:
        raise InvalidInputError(f"no account has the e-mail {email}", "they must register first")
    if answer.status == 422:
        raise InvalidInputError(f"the e-mail or the reason is refused: {_detail(answer)}")
    if not answer.ok:
        raise OpsError(
            f"the service {SERVICE} answers {answer.status}: {_detail(answer)}",
            f"`skillswap-ops services logs {SERVICE}` says more; the same command can be repeated",
        )
    found = answer.object()
    return Made(str(found["id_utilisateur"]), bool(found["ajoute"]))


def _ask(context: Context, email: str, reason: str) -> Answer:
    """By the first proxy that answers: a second time would change nothing."""
    token = Tokens(signing(context.secrets)).service(OPERATOR)
    silent = UnreachableError("there is no proxy")
    for node in places.proxies(context.topology):
        try:
            return request(
                node.address,
                places.internal_port(SERVICE),
                "PUT",
                PATH,
                body={"courriel": email, "motif": reason},
                headers={
                    "Authorization": f"Bearer {token}",
                    "Content-Type": "application/json",
                },
                seconds=Deadlines().request + 5,
                trust=context.trust,
            )
        except UnreachableError as error:
            silent = error
    raise UnreachableError(silent.message, "run `skillswap-ops provision`") from silent


def _detail(answer: Answer) -> str:
    found = answer.object()
    parts = [str(found.get("detail") or found.get("title") or answer.text[:SHOWN_CHARACTERS])]
    fields = found.get("fields")
    if isinstance(fields, list):
        parts += [str(each.get("reason", each)) for each in fields if isinstance(each, dict)]
    return "; ".join(parts)
