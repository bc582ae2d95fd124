"""Segment sessions+messages: what people do together, and what watches over it."""

from cluster.schema.guarantees import FAST, RECORD, SENSITIVE
from cluster.schema.types import DAY, Entity, Field, Kind, Query, Retention, ShardKey, States, Store
from cluster.schema.words import (
    LANGUAGES,
    TEXT,
    UUID_PATTERN,
    flag,
    id_,
    index,
    integer,
    moment,
    number,
    one_of,
    point,
    sphere,
    string,
    to,
    ttl,
    unique,
)

SEGMENT = "sessions_messages"
NOTIFICATION_DAYS = 90
ASSISTANT_DAYS = 365

SESSION = Entity(
    "SESSION",
    Store.MONGO,
    SEGMENT,
    "id_session",
    (
        id_("id_session"),
        id_("id_apprenant"),
        id_("id_enseignant"),
        id_("cree_par"),
        moment("debut"),
        moment("fin"),
        one_of("mode", "PRESENTIEL", "DISTANCIEL"),
        one_of("statut", "PROPOSEE", "CONFIRMEE", "REALISEE", "ANNULEE", "ABSENCE"),
        string("lieu_ou_lien", longest=500),
        point("point_lieu"),
        moment("cree_le"),
        # The write chain: docs/decisions/write-chain.md. What is still to be written beside the
        # session, in the session's own write; `chaine_ouverte` goes when all of it is there.
        string("empreinte_demande", required=False, longest=64),
        id_("id_message", required=False),
        id_("id_intention", required=False),
        moment("chaine_ouverte", required=False),
        string("chaine_texte", required=False, longest=TEXT),
        string("chaine_langue", required=False, longest=2),
        Field("chaine_montant", Kind.INTEGER, required=False, minimum=1),
        string("chaine_devise", required=False, longest=3),
        moment("chaine_bail", required=False),
    ),
    SENSITIVE,
    references=(
        to("id_apprenant", "UTILISATEUR"),
        to("id_enseignant", "UTILISATEUR"),
        to("cree_par", "UTILISATEUR"),
    ),
    indexes=(
        index("id_session", serves=Query("a session by id", equal=("id_session",))),
        index(
            "id_apprenant",
            "id_enseignant",
            "debut",
            serves=Query(
                "the sessions of two people",
                equal=("id_apprenant", "id_enseignant"),
                sort=("debut",),
            ),
        ),
        index(
            "statut",
            "debut",
            serves=Query("reminders: what comes", equal=("statut",), since="debut"),
        ),
        sphere("point_lieu", "sessions near a place"),
        index(
            "id_enseignant",
            "debut",
            serves=Query("what someone teaches", equal=("id_enseignant",), sort=("debut",)),
        ),
        index("chaine_ouverte", serves=Query("open write chains", since="chaine_ouverte")),
    ),
    shard_key=ShardKey(("id_session",), hashed=True, why="spreads evenly; read by id"),
    states=States(
        "statut",
        ("PROPOSEE",),
        (
            ("PROPOSEE", ("CONFIRMEE", "ANNULEE")),
            ("CONFIRMEE", ("REALISEE", "ANNULEE", "ABSENCE")),
            ("REALISEE", ()),
            ("ANNULEE", ()),
            ("ABSENCE", ()),
        ),
    ),
)

MESSAGE = Entity(
    "MESSAGE",
    Store.MONGO,
    SEGMENT,
    "id_message",
    (
        id_("id_message"),
        id_("id_session"),
        id_("id_expediteur"),
        string("texte", longest=TEXT),
        one_of("langue", *LANGUAGES),
        Field("pieces_jointes", Kind.STRINGS, required=False, pattern=UUID_PATTERN),
        moment("cree_le"),
    ),
    FAST,
    references=(
        to("id_session", "SESSION"),
        to("id_expediteur", "UTILISATEUR"),
        to("pieces_jointes", "MEDIA"),
    ),
    indexes=(
        index("id_message", serves=Query("a message by id", equal=("id_message",))),
        index(
            "id_session",
            "cree_le",
            serves=Query("a conversation, page by page", equal=("id_session",), sort=("cree_le",)),
        ),
        index(
            "id_expediteur",
            "cree_le",
            serves=Query("what a user sent", equal=("id_expediteur",), sort=("cree_le",)),
        ),
    ),
    shard_key=ShardKey(("id_session",), hashed=True, why="a conversation stays on one shard"),
)

AVIS = Entity(
    "AVIS",
    Store.MONGO,
    SEGMENT,
    "id_avis",
    (
        id_("id_avis"),
        id_("id_session"),
        id_("id_emetteur"),
        id_("id_cible"),
        integer("note_etoiles", 1, 5),
        integer("ponctualite", 1, 5),
        integer("pedagogie", 1, 5),
        integer("motivation", 1, 5),
        integer("communication", 1, 5),
        string("commentaire", required=False, longest=TEXT),
        moment("cree_le"),
    ),
    SENSITIVE,
    references=(
        to("id_session", "SESSION"),
        to("id_emetteur", "UTILISATEUR"),
        to("id_cible", "UTILISATEUR"),
    ),
    indexes=(
        index("id_avis", serves=Query("a review by id", equal=("id_avis",))),
        unique(
            "id_session",
            "id_emetteur",
            serves=Query("one's review of a session", equal=("id_session", "id_emetteur")),
        ),
        index(
            "id_cible",
            "-cree_le",
            serves=Query("the newest about a user", equal=("id_cible",), sort=("-cree_le",)),
        ),
        index("cree_le", serves=Query("reputations to add up again", since="cree_le")),
    ),
    shard_key=ShardKey(("id_session", "id_emetteur"), hashed=False, why="keeps its uniqueness"),
)

SIGNALEMENT = Entity(
    "SIGNALEMENT",
    Store.MONGO,
    SEGMENT,
    "id_signalement",
    (
        id_("id_signalement"),
        id_("id_auteur"),
        id_("id_cible"),
        one_of("motif", "SPAM", "HARCELEMENT", "FRAUDE", "CONTENU_INAPPROPRIE", "AUTRE"),
        string("description", required=False, longest=TEXT),
        one_of("statut", "OUVERT", "EN_COURS", "TRAITE", "REJETE"),
        moment("cree_le"),
    ),
    RECORD,
    states=States(
        "statut",
        ("OUVERT",),
        (
            ("OUVERT", ("EN_COURS", "TRAITE", "REJETE")),
            ("EN_COURS", ("TRAITE", "REJETE")),
            ("TRAITE", ()),
            ("REJETE", ()),
        ),
    ),
    references=(to("id_auteur", "UTILISATEUR"), to("id_cible", "UTILISATEUR")),
    indexes=(
        index("id_signalement", serves=Query("a report by id", equal=("id_signalement",))),
        index(
            "statut",
            "-cree_le",
            serves=Query("the queue, newest first", equal=("statut",), sort=("-cree_le",)),
        ),
        index("id_cible", serves=Query("reports about a user", equal=("id_cible",))),
    ),
    shard_key=ShardKey(("id_signalement",), hashed=True, why="spreads evenly"),
)

JOURNAL_AUDIT = Entity(
    "JOURNAL_AUDIT",
    Store.MONGO,
    SEGMENT,
    "id_audit",
    (
        id_("id_audit"),
        # Without one it was the operator, at the command line.
        id_("id_acteur", required=False),
        one_of("action", "BANNIR", "LEVER_BANNISSEMENT", "CHANGER_ROLES", "TRAITER_SIGNALEMENT"),
        id_("id_cible"),
        string("motif", required=False, longest=TEXT),
        flag("abouti"),  # written first without, so that no act is done which is not recorded
        moment("cree_le"),
    ),
    SENSITIVE,
    references=(to("id_acteur", "UTILISATEUR"), to("id_cible", "UTILISATEUR")),
    indexes=(
        index("id_audit", serves=Query("an entry by id", equal=("id_audit",))),
        index("-cree_le", serves=Query("the newest", sort=("-cree_le",))),
        index(
            "id_cible",
            "-cree_le",
            serves=Query("what was done to a user", equal=("id_cible",), sort=("-cree_le",)),
        ),
    ),
    shard_key=ShardKey(("id_audit",), hashed=True, why="spreads evenly"),
)

JOURNAL_NOTIFICATION = Entity(
    "JOURNAL_NOTIFICATION",
    Store.MONGO,
    SEGMENT,
    "id_notification",
    (
        id_("id_notification"),
        id_("id_utilisateur"),
        one_of("canal", "PUSH", "COURRIEL"),
        string("sujet"),
        one_of("statut", "EN_ATTENTE", "ENVOYEE", "ECHEC"),
        moment("envoye_le"),
    ),
    FAST,
    references=(to("id_utilisateur", "UTILISATEUR"),),
    indexes=(
        index("id_notification", serves=Query("one by id", equal=("id_notification",))),
        index(
            "id_utilisateur",
            "-envoye_le",
            serves=Query("a user's newest", equal=("id_utilisateur",), sort=("-envoye_le",)),
        ),
        index(
            "statut",
            "envoye_le",
            serves=Query("what is still to be sent", equal=("statut",)),
        ),
        ttl("envoye_le", NOTIFICATION_DAYS * DAY),
    ),
    shard_key=ShardKey(("id_utilisateur",), hashed=True, why="always read by user"),
    retention=Retention(
        NOTIFICATION_DAYS * DAY, "TP3 §1: TTL; long enough to send again what failed", "envoye_le"
    ),
)

SESSION_IA = Entity(
    "SESSION_IA",
    Store.MONGO,
    SEGMENT,
    "id_session_ia",
    (
        id_("id_session_ia"),
        id_("id_utilisateur"),
        one_of("agent", "MENTOR", "PROF", "ETUDIANT"),
        one_of("statut", "ACTIVE", "TERMINEE"),
        moment("debut"),
    ),
    RECORD,
    references=(to("id_utilisateur", "UTILISATEUR"),),
    indexes=(
        index("id_session_ia", serves=Query("one by id", equal=("id_session_ia",))),
        index(
            "id_utilisateur",
            "-debut",
            serves=Query("a user's newest", equal=("id_utilisateur",), sort=("-debut",)),
        ),
    ),
    shard_key=ShardKey(("id_session_ia",), hashed=True, why="spreads evenly"),
)

MESSAGE_IA = Entity(
    "MESSAGE_IA",
    Store.MONGO,
    SEGMENT,
    "id_message_ia",
    (
        id_("id_message_ia"),
        id_("id_session_ia"),
        one_of("auteur", "UTILISATEUR", "AGENT"),
        string("texte", longest=4 * TEXT),
        moment("cree_le"),
    ),
    FAST,
    references=(to("id_session_ia", "SESSION_IA"),),
    indexes=(
        index("id_message_ia", serves=Query("one by id", equal=("id_message_ia",))),
        index(
            "id_session_ia",
            "cree_le",
            serves=Query("a dialogue", equal=("id_session_ia",), sort=("cree_le",)),
        ),
        ttl("cree_le", ASSISTANT_DAYS * DAY),
    ),
    shard_key=ShardKey(("id_session_ia",), hashed=True, why="a dialogue stays on one shard"),
    retention=Retention(
        ASSISTANT_DAYS * DAY, "TP1 §5: old messages are removed regularly", "cree_le"
    ),
)

AVIS_IA = Entity(
    "AVIS_IA",
    Store.MONGO,
    SEGMENT,
    "id_avis_ia",
    (
        id_("id_avis_ia"),
        id_("id_session_ia"),
        id_("id_utilisateur"),
        integer("note_etoiles", 1, 5),
        string("commentaire", required=False, longest=TEXT),
        moment("cree_le"),
    ),
    RECORD,
    references=(to("id_session_ia", "SESSION_IA"), to("id_utilisateur", "UTILISATEUR")),
    indexes=(
        index("id_avis_ia", serves=Query("one by id", equal=("id_avis_ia",))),
        unique(
            "id_session_ia",
            "id_utilisateur",
            serves=Query("one's review", equal=("id_session_ia", "id_utilisateur")),
        ),
    ),
    shard_key=ShardKey(
        ("id_session_ia", "id_utilisateur"), hashed=False, why="keeps its uniqueness"
    ),
)

ALERTE_MODERATION = Entity(
    "ALERTE_MODERATION",
    Store.MONGO,
    SEGMENT,
    "id_alerte",
    (
        id_("id_alerte"),
        id_("id_message"),
        one_of("categorie", "INSULTE", "SPAM", "FRAUDE", "CONTENU_ADULTE"),
        number("score", 0, 1),
        flag("automatique"),
        one_of("statut", "OUVERTE", "CONFIRMEE", "REJETEE"),
        moment("cree_le"),
    ),
    RECORD,
    references=(to("id_message", "MESSAGE"),),
    indexes=(
        index("id_alerte", serves=Query("one by id", equal=("id_alerte",))),
        index("id_message", serves=Query("alerts of a message", equal=("id_message",))),
        index(
            "statut",
            "-cree_le",
            serves=Query("the queue, newest first", equal=("statut",), sort=("-cree_le",)),
        ),
    ),
    shard_key=ShardKey(("id_message",), hashed=True, why="read with the message"),
)

ENTITIES = (
    SESSION,
    MESSAGE,
    AVIS,
    SIGNALEMENT,
    JOURNAL_AUDIT,
    JOURNAL_NOTIFICATION,
    SESSION_IA,
    MESSAGE_IA,
    AVIS_IA,
    ALERTE_MODERATION,
)
