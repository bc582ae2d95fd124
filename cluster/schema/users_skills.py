"""Segment users+skills: who people are, what they can, the groups and badges that they have."""

from cluster.schema.guarantees import FAST, RECORD
from cluster.schema.types import DAY, Entity, Field, Kind, Query, Retention, ShardKey, Store
from cluster.schema.words import (
    LANGUAGES,
    TEXT,
    flag,
    id_,
    index,
    integer,
    moment,
    number,
    one_of,
    point,
    some_of,
    sphere,
    string,
    text,
    to,
    ttl,
    unique,
)

SEGMENT = "users_skills"
ACTIVITY_DAYS = 365

ROLES = ("APPRENANT", "ENSEIGNANT", "MENTOR", "ADMIN_GROUPE", "MODERATEUR", "ADMIN")

UTILISATEUR = Entity(
    "UTILISATEUR",
    Store.MONGO,
    SEGMENT,
    "id_utilisateur",
    (
        id_("id_utilisateur"),
        string("nom"),
        Field("courriel", Kind.STRING, longest=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$"),
        string("url_photo", required=False, longest=500),
        string("biographie", required=False, longest=TEXT),
        one_of("langue_preferee", *LANGUAGES),
        flag("identite_verifiee"),
        number("reputation", 0, 5),
        number("score_fiabilite", 0, 100),
        some_of("roles", *ROLES),
        point("localisation"),
        moment("cree_le"),
    ),
    RECORD,
    indexes=(
        index("id_utilisateur", serves=Query("a user by id", equal=("id_utilisateur",))),
        unique("courriel", serves=Query("log-in by e-mail", equal=("courriel",))),
        index("roles", serves=Query("users who have a role", equal=("roles",))),
        sphere("localisation", "matching by proximity"),
    ),
    shard_key=ShardKey(("courriel",), hashed=False, why="keeps `courriel UNIQUE` over shards"),
)

COMPETENCE = Entity(
    "COMPETENCE",
    Store.MONGO,
    SEGMENT,
    "id_competence",
    (
        id_("id_competence"),
        id_("id_utilisateur"),
        string("libelle"),
        one_of("type", "ENSEIGNE", "APPREND"),
        one_of("niveau", "DEBUTANT", "INTERMEDIAIRE", "AVANCE"),
        string("disponibilite"),
        some_of("langues", *LANGUAGES),
    ),
    RECORD,
    references=(to("id_utilisateur", "UTILISATEUR"),),
    indexes=(
        index("id_competence", serves=Query("a skill by id", equal=("id_competence",))),
        index("id_utilisateur", serves=Query("the skills of a user", equal=("id_utilisateur",))),
        text("libelle", "skills by words"),
        index("type", "niveau", serves=Query("matching by level", equal=("type", "niveau"))),
        index("langues", serves=Query("matching by language", equal=("langues",))),
    ),
    shard_key=ShardKey(("id_utilisateur",), hashed=True, why="a profile is read with its skills"),
)

LIEN_IDENTITE = Entity(
    "LIEN_IDENTITE",
    Store.MONGO,
    SEGMENT,
    "id_lien_identite",
    (
        id_("id_lien_identite"),
        id_("id_utilisateur"),
        one_of("fournisseur", "GOOGLE", "APPLE", "FACEBOOK", "MICROSOFT"),
        string("identifiant_fournisseur"),
        moment("lie_le"),
    ),
    RECORD,
    references=(to("id_utilisateur", "UTILISATEUR"),),
    indexes=(
        index("id_lien_identite", serves=Query("a link by id", equal=("id_lien_identite",))),
        unique(
            "fournisseur",
            "identifiant_fournisseur",
            serves=Query("log-in by OAuth", equal=("fournisseur", "identifiant_fournisseur")),
        ),
    ),
    shard_key=ShardKey(
        ("fournisseur", "identifiant_fournisseur"), hashed=False, why="keeps its uniqueness"
    ),
)

VERIF_TELEPHONE = Entity(
    "VERIF_TELEPHONE",
    Store.MONGO,
    SEGMENT,
    "id_verif_telephone",
    (
        id_("id_verif_telephone"),
        id_("id_utilisateur"),
        Field("numero", Kind.STRING, longest=16, pattern=r"^\+[1-9][0-9]{6,14}$"),  # E.164
        flag("verifie"),
        moment("demande_le"),
    ),
    RECORD,
    references=(to("id_utilisateur", "UTILISATEUR"),),
    indexes=(
        index("id_verif_telephone", serves=Query("one by id", equal=("id_verif_telephone",))),
        unique("numero", serves=Query("who has a number", equal=("numero",))),
    ),
    shard_key=ShardKey(("numero",), hashed=False, why="keeps `UNIQUE(numero)` over shards"),
)

# Apart from UTILISATEUR, so that no query of profiles can return it.
IDENTIFIANT = Entity(
    "IDENTIFIANT",
    Store.MONGO,
    SEGMENT,
    "id_utilisateur",
    (
        id_("id_utilisateur"),
        string("empreinte", longest=300),  # argon2id's encoded hash; "!" matches no password
        moment("maj_le"),
        moment("banni_le", required=False),
        moment("banni_jusqu_a", required=False),  # without it a ban has no end
        moment("suppression_le", required=False),  # asked for; the account is being removed
    ),
    RECORD,
    references=(to("id_utilisateur", "UTILISATEUR"),),
    indexes=(
        index("id_utilisateur", serves=Query("log-in", equal=("id_utilisateur",))),
        index("banni_le", serves=Query("the latest bans", since="banni_le")),
        index("suppression_le", serves=Query("accounts to remove", since="suppression_le")),
    ),
    shard_key=ShardKey(("id_utilisateur",), hashed=True, why="always read by user"),
)

JETON_RAFRAICHISSEMENT = Entity(
    "JETON_RAFRAICHISSEMENT",
    Store.MONGO,
    SEGMENT,
    "id_jeton",
    (
        id_("id_jeton"),  # of a log-in: it stays while its token rotates
        id_("id_utilisateur"),
        string("empreinte", longest=64),  # SHA-256 of the token that is good now
        string("precedente", required=False, longest=64),
        moment("tourne_le"),
        moment("expire_le"),
    ),
    RECORD,
    references=(to("id_utilisateur", "UTILISATEUR"),),
    indexes=(
        index("id_jeton", serves=Query("a log-in by id", equal=("id_jeton",))),
        index("id_utilisateur", serves=Query("a user's log-ins", equal=("id_utilisateur",))),
        ttl("expire_le", DAY),
    ),
    shard_key=ShardKey(("id_jeton",), hashed=True, why="always read by id"),
    retention=Retention(DAY, "it opens nothing any more", "expire_le"),
)

BADGE = Entity(
    "BADGE",
    Store.MONGO,
    SEGMENT,
    "id_badge",
    (
        id_("id_badge"),
        string("code", longest=40),
        string("libelle"),
        string("description", longest=TEXT),
    ),
    RECORD,
    indexes=(
        index("id_badge", serves=Query("a badge by id", equal=("id_badge",))),
        unique("code", serves=Query("a badge by code", equal=("code",))),
    ),
    shard_key=ShardKey(("code",), hashed=False, why="keeps `code UNIQUE` over shards"),
)

UTILISATEUR_BADGE = Entity(
    "UTILISATEUR_BADGE",
    Store.MONGO,
    SEGMENT,
    "id_utilisateur_badge",
    (
        id_("id_utilisateur_badge"),
        id_("id_utilisateur"),
        id_("id_badge"),
        moment("obtenu_le"),
    ),
    RECORD,
    references=(to("id_utilisateur", "UTILISATEUR"), to("id_badge", "BADGE")),
    indexes=(
        index("id_utilisateur_badge", serves=Query("one by id", equal=("id_utilisateur_badge",))),
        unique(
            "id_utilisateur",
            "id_badge",
            serves=Query("the badges of a user", equal=("id_utilisateur",)),
        ),
    ),
    shard_key=ShardKey(("id_utilisateur", "id_badge"), hashed=False, why="keeps its uniqueness"),
)

STATISTIQUE_UTILISATEUR = Entity(
    "STATISTIQUE_UTILISATEUR",
    Store.MONGO,
    SEGMENT,
    "id_utilisateur",
    (
        id_("id_utilisateur"),
        integer("points"),
        integer("sessions_donnees"),
        integer("sessions_suivies"),
        integer("avis_recus"),
        number("note_moyenne", 0, 5),
        moment("maj_le"),
    ),
    RECORD,
    references=(to("id_utilisateur", "UTILISATEUR"),),
    indexes=(index("id_utilisateur", serves=Query("a user's numbers", equal=("id_utilisateur",))),),
    shard_key=ShardKey(("id_utilisateur",), hashed=True, why="always read by user"),
)

CLASSEMENT = Entity(
    "CLASSEMENT",
    Store.MONGO,
    SEGMENT,
    "id_classement",
    (
        id_("id_classement"),
        id_("id_utilisateur"),
        Field("periode", Kind.STRING, longest=7, pattern="^[0-9]{4}-(0[1-9]|1[0-2])$"),
        one_of("role", "APPRENANT", "ENSEIGNANT", "MENTOR"),
        integer("score"),
    ),
    RECORD,
    references=(to("id_utilisateur", "UTILISATEUR"),),
    indexes=(
        index("id_classement", serves=Query("one by id", equal=("id_classement",))),
        unique(
            "id_utilisateur",
            "periode",
            "role",
            serves=Query("a user's rank", equal=("id_utilisateur", "periode", "role")),
        ),
        index(
            "periode",
            "role",
            "-score",
            serves=Query("the best of a month", equal=("periode", "role"), sort=("-score",)),
        ),
    ),
    shard_key=ShardKey(
        ("id_utilisateur", "periode", "role"), hashed=False, why="keeps its uniqueness"
    ),
)

EVENEMENT_ACTIVITE = Entity(
    "EVENEMENT_ACTIVITE",
    Store.MONGO,
    SEGMENT,
    "id_evenement",
    (
        id_("id_evenement"),
        id_("id_utilisateur"),
        one_of("type", "SESSION_DONNEE", "SESSION_SUIVIE", "AVIS_LAISSE", "GROUPE_REJOINT"),
        integer("points"),
        moment("cree_le"),
    ),
    FAST,
    references=(to("id_utilisateur", "UTILISATEUR"),),
    indexes=(
        index("id_evenement", serves=Query("one by id", equal=("id_evenement",))),
        index(
            "id_utilisateur",
            "-cree_le",
            serves=Query("what a user did", equal=("id_utilisateur",), sort=("-cree_le",)),
        ),
        ttl("cree_le", ACTIVITY_DAYS * DAY),
    ),
    shard_key=ShardKey(("id_utilisateur",), hashed=True, why="always read by user"),
    retention=Retention(
        ACTIVITY_DAYS * DAY, "points are summed in STATISTIQUE_UTILISATEUR", "cree_le"
    ),
)

GROUPE = Entity(
    "GROUPE",
    Store.MONGO,
    SEGMENT,
    "id_groupe",
    (
        id_("id_groupe"),
        id_("id_admin"),
        string("titre"),
        string("description", required=False, longest=TEXT),
        one_of("visibilite", "PUBLIC", "PRIVE"),
        moment("cree_le"),
    ),
    RECORD,
    references=(to("id_admin", "UTILISATEUR"),),
    indexes=(
        index("id_groupe", serves=Query("a group by id", equal=("id_groupe",))),
        index("id_admin", serves=Query("the groups of an admin", equal=("id_admin",))),
        index("-cree_le", serves=Query("the newest groups", sort=("-cree_le",))),
    ),
    shard_key=ShardKey(("id_groupe",), hashed=True, why="spreads evenly"),
)

ADHESION_GROUPE = Entity(
    "ADHESION_GROUPE",
    Store.MONGO,
    SEGMENT,
    "id_adhesion",
    (
        id_("id_adhesion"),
        id_("id_groupe"),
        id_("id_utilisateur"),
        one_of("role", "MEMBRE", "ANIMATEUR", "ADMIN"),
        moment("rejoint_le"),
    ),
    RECORD,
    references=(to("id_groupe", "GROUPE"), to("id_utilisateur", "UTILISATEUR")),
    indexes=(
        index("id_adhesion", serves=Query("one by id", equal=("id_adhesion",))),
        unique(
            "id_groupe",
            "id_utilisateur",
            serves=Query("the members of a group", equal=("id_groupe",)),
        ),
    ),
    shard_key=ShardKey(("id_groupe", "id_utilisateur"), hashed=False, why="keeps its uniqueness"),
)

TACHE = Entity(
    "TACHE",
    Store.MONGO,
    SEGMENT,
    "id_tache",
    (
        id_("id_tache"),
        id_("id_groupe"),
        string("titre"),
        one_of("statut", "A_FAIRE", "EN_COURS", "TERMINEE"),
        moment("echeance"),
    ),
    RECORD,
    references=(to("id_groupe", "GROUPE"),),
    indexes=(
        index("id_tache", serves=Query("a task by id", equal=("id_tache",))),
        index(
            "id_groupe",
            "statut",
            "echeance",
            serves=Query("what is due", equal=("id_groupe", "statut"), sort=("echeance",)),
        ),
    ),
    shard_key=ShardKey(("id_groupe",), hashed=True, why="always read by group"),
)

MEDIA = Entity(
    "MEDIA",
    Store.MONGO,
    SEGMENT,
    "id_media",
    (
        id_("id_media"),
        id_("id_utilisateur"),
        one_of("type", "IMAGE", "VIDEO", "AUDIO", "DOCUMENT"),
        string("cle_objet", longest=500),  # in the object store; the bytes are never here
        integer("taille_octets"),
        Field("duree_s", Kind.NUMBER, required=False, minimum=0),
        one_of("analyse_antivirus", "EN_ATTENTE", "SAIN", "INFECTE"),
        moment("cree_le"),
    ),
    RECORD,
    references=(to("id_utilisateur", "UTILISATEUR"),),
    indexes=(
        index("id_media", serves=Query("a file by id", equal=("id_media",))),
        index(
            "id_utilisateur",
            "-cree_le",
            serves=Query("a user's files", equal=("id_utilisateur",), sort=("-cree_le",)),
        ),
        index(
            "type",
            "-cree_le",
            serves=Query("the newest of a type", equal=("type",), sort=("-cree_le",)),
        ),
    ),
    shard_key=ShardKey(("id_utilisateur",), hashed=True, why="always read by user"),
)

ENTITIES = (
    UTILISATEUR,
    COMPETENCE,
    GROUPE,
    ADHESION_GROUPE,
    TACHE,
    BADGE,
    UTILISATEUR_BADGE,
    STATISTIQUE_UTILISATEUR,
    LIEN_IDENTITE,
    VERIF_TELEPHONE,
    IDENTIFIANT,
    JETON_RAFRAICHISSEMENT,
    MEDIA,
    CLASSEMENT,
    EVENEMENT_ACTIVITE,
)
