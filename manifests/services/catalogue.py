"""The 13 microservices of SkillSwap and their gateway (TP2 §1 to §4).

Stages are the seed's, but for `payments`: docs/decisions/payments-from-mvp.md. The order is also
that of the local addresses: new services go at the end.
"""

from manifests.services.model import GATEWAY, Catalogue, Replicas, Resources, Stage

# Two arenas are enough for a program of one event loop, and glibc's default of eight a core is not
# given back. Logs must not wait in a buffer for a crash to lose them.
_PYTHON = {"MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1"}


def _service(name: str, title: str, stage: Stage, **more: object) -> dict[str, object]:
    return {"name": name, "title": title, "stage": stage, "environment": _PYTHON, **more}


CATALOGUE = Catalogue.checked(
    {
        "services": [
            _service(
                GATEWAY,
                "API gateway",
                Stage.MVP,
                redis=True,
                reaches_all=True,
                depends_on=(
                    "auth",
                    "skills",
                    "sessions",
                    "chat",
                    "reviews",
                    "notifications",
                    "admin",
                    "payments",
                ),
                resources=Resources(cpu_request=100, cpu_limit=1000),
            ),
            _service(
                "auth",
                "Auth & users",
                Stage.MVP,
                # The right to one's data, and to their removal (GDPR): each service has its part.
                reaches_all=True,
                owns=(
                    "UTILISATEUR",
                    "LIEN_IDENTITE",
                    "VERIF_TELEPHONE",
                    "IDENTIFIANT",
                    "JETON_RAFRAICHISSEMENT",
                ),
                # Hashing a password takes tens of MiB on purpose (argon2id).
                resources=Resources(cpu_request=100, cpu_limit=1000, memory_limit=512),
            ),
            _service(
                "skills",
                "Skills & matching",
                Stage.MVP,
                owns=("COMPETENCE",),
                shares=("UTILISATEUR",),
            ),
            _service(
                "sessions",
                "Sessions",
                Stage.MVP,
                owns=("SESSION",),
                shares=("MESSAGE",),  # the first one of the write chain (TP3 §7)
                depends_on=("auth", "notifications", "payments"),
            ),
            _service(
                "chat",
                "Chat",
                Stage.MVP,
                owns=("MESSAGE",),
                shares=("SESSION",),
                redis=True,
                depends_on=("auth",),
                replicas=Replicas(kubernetes=4),
            ),
            _service(
                "reviews",
                "Reviews",
                Stage.MVP,
                owns=("AVIS",),
                depends_on=("auth", "sessions"),
            ),
            _service(
                "notifications",
                "Notifications",
                Stage.MVP,
                owns=("JOURNAL_NOTIFICATION",),
            ),
            _service(
                "admin",
                "Administration & moderation",
                Stage.MVP,
                owns=("SIGNALEMENT", "JOURNAL_AUDIT"),
                depends_on=("auth",),
                replicas=Replicas(kubernetes=2),
            ),
            _service("files", "Files", Stage.V1_1, owns=("MEDIA",), s3=True),
            _service(
                "groups",
                "Groups & tasks",
                Stage.V1_2,
                owns=("GROUPE", "ADHESION_GROUPE", "TACHE"),
            ),
            _service(
                "gamification",
                "Gamification",
                Stage.V1_1,
                owns=(
                    "EVENEMENT_ACTIVITE",
                    "CLASSEMENT",
                    "BADGE",
                    "UTILISATEUR_BADGE",
                    "STATISTIQUE_UTILISATEUR",
                ),
                replicas=Replicas(kubernetes=2),
            ),
            _service(
                "ai",
                "AI",
                Stage.V2_0,
                owns=("SESSION_IA", "MESSAGE_IA", "AVIS_IA", "ALERTE_MODERATION"),
                depends_on=("payments",),
                replicas=Replicas(kubernetes=2),
            ),
            _service(
                "payments",
                "Payments & subscriptions",
                Stage.MVP,
                owns=("ABONNEMENT", "INTENTION_PAIEMENT", "FACTURE", "DROIT_ACCES"),
            ),
            _service(
                "virtual-classroom",
                "Virtual classroom",
                Stage.V2_0,
                depends_on=("sessions",),
                replicas=Replicas(kubernetes=2),
            ),
        ]
    }
)
