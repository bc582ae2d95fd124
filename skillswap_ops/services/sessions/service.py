"""The service sessions."""

from skillswap_ops.services.base import personal
from skillswap_ops.services.base.app import Definition, Loop
from skillswap_ops.services.base.personal import Personal
from skillswap_ops.services.sessions import chain, notices, routes

RECONCILE_SECONDS = 2
REMIND_SECONDS = 60

DEFINITION = Definition(
    name="sessions",
    title="SkillSwap: sessions",
    routers=(
        routes.router,
        routes.internal,
        personal.router(
            Personal(
                "SESSION",
                by=("id_apprenant", "id_enseignant"),
                keep="the other participant's record too; it names nobody but by id",
            )
        ),
    ),
    needs=frozenset({"mongo"}),
    loops=(
        Loop("reconcile", RECONCILE_SECONDS, chain.reconcile),
        Loop("remind", REMIND_SECONDS, notices.Reminders().remind),
    ),
)
