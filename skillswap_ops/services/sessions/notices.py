"""What participants are told: proposals, changes, and reminders before a session.

A notice's id follows from what it is about, so that two instances, or a retry, tell it once.
"""

from collections import OrderedDict
from datetime import timedelta
from typing import Any

from skillswap_ops.services.base.logs import logger
from skillswap_ops.services.base.models import derived, now
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import Runtime
from skillswap_ops.services.sessions.states import participants

Document = dict[str, Any]
SUBJECTS = {
    "PROPOSEE": "Une session vous est proposée",
    "CONFIRMEE": "Votre session est confirmée",
    "ANNULEE": "Votre session est annulée",
    "REALISEE": "Votre session a eu lieu : laissez un avis",
    "ABSENCE": "Une absence a été signalée",
}
# How long before a session its participants are reminded (TP1 §3: "rappels automatiques").
LEADS = ((timedelta(hours=24), "dans 24 heures"), (timedelta(hours=1), "dans une heure"))
AT_ONCE = 200
REMEMBERED = 50_000


async def tell(at: Runtime, row: Document, user: str) -> None:
    """Tell a participant of the session's status; a failure is logged and costs no request."""
    own_id = derived("notice", row["id_session"], row["statut"], user)
    try:
        await send(at, own_id, user, SUBJECTS[row["statut"]])
    except ApiError as error:
        logger().warning("not told", id_session=row["id_session"], why=str(error))


async def send(at: Runtime, own_id: str, user: str, subject: str) -> None:
    """Hand a notice to notifications; idempotent."""
    body = {"id_utilisateur": user, "canal": "PUSH", "sujet": subject}
    await at.upstreams.call("notifications", "PUT", f"/internal/notifications/{own_id}", body=body)


class Reminders:
    """Remembers what this instance has sent, so that it does not ask again every minute."""

    def __init__(self) -> None:
        self._sent: OrderedDict[str, None] = OrderedDict()

    async def remind(self, at: Runtime) -> None:
        """Remind the participants of confirmed sessions that come."""
        present = now()
        for lead, words in LEADS:
            query = {"statut": "CONFIRMEE", "debut": {"$gt": present, "$lte": present + lead}}
            for row in await at.mongo.page("SESSION", query, [("debut", 1)], AT_ONCE):
                for user in participants(row):
                    own_id = derived("reminder", words, row["id_session"], user)
                    if own_id not in self._sent:
                        await send(at, own_id, user, f"Rappel : votre session commence {words}")
                        self._remember(own_id)

    def _remember(self, own_id: str) -> None:
        self._sent[own_id] = None
        while len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)
