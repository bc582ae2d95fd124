"""The catalogue against the seed's own tables, and against itself."""

import json

import pytest
from click.testing import CliRunner

from cluster.schema.catalogue import BY_NAME, ENTITIES, SEGMENTS, collections, tables
from cluster.schema.types import Entity, Kind, Order, Store
from skillswap_ops.commands.schema import command
from skillswap_ops.schema_view import query_text

# TP3 §1, row by row: primary key, references, indexes (`!` unique, `-` descending).
TP3 = {
    "UTILISATEUR": ("id_utilisateur", {}, ["!courriel", "roles"]),
    "COMPETENCE": (
        "id_competence",
        {"id_utilisateur": "UTILISATEUR"},
        ["id_utilisateur", "text:libelle", "type niveau", "langues"],
    ),
    "SESSION": (
        "id_session",
        {"id_apprenant": "UTILISATEUR", "id_enseignant": "UTILISATEUR", "cree_par": "UTILISATEUR"},
        ["id_apprenant id_enseignant debut", "statut debut", "2dsphere:point_lieu"],
    ),
    "MESSAGE": (
        "id_message",
        {"id_session": "SESSION", "id_expediteur": "UTILISATEUR"},
        ["id_session cree_le", "id_expediteur cree_le"],
    ),
    "AVIS": (
        "id_avis",
        {"id_session": "SESSION", "id_emetteur": "UTILISATEUR", "id_cible": "UTILISATEUR"},
        ["!id_session id_emetteur", "id_cible -cree_le"],
    ),
    "GROUPE": ("id_groupe", {"id_admin": "UTILISATEUR"}, ["id_admin", "-cree_le"]),
    "ADHESION_GROUPE": (
        "id_adhesion",
        {"id_groupe": "GROUPE", "id_utilisateur": "UTILISATEUR"},
        ["!id_groupe id_utilisateur"],
    ),
    "TACHE": ("id_tache", {"id_groupe": "GROUPE"}, ["id_groupe statut echeance"]),
    "BADGE": ("id_badge", {}, ["!code"]),
    "UTILISATEUR_BADGE": (
        "id_utilisateur_badge",
        {"id_utilisateur": "UTILISATEUR", "id_badge": "BADGE"},
        ["!id_utilisateur id_badge"],
    ),
    "STATISTIQUE_UTILISATEUR": ("id_utilisateur", {"id_utilisateur": "UTILISATEUR"}, []),
    "LIEN_IDENTITE": (
        "id_lien_identite",
        {"id_utilisateur": "UTILISATEUR"},
        ["!fournisseur identifiant_fournisseur"],
    ),
    "VERIF_TELEPHONE": ("id_verif_telephone", {"id_utilisateur": "UTILISATEUR"}, ["!numero"]),
    "MEDIA": (
        "id_media",
        {"id_utilisateur": "UTILISATEUR"},
        ["id_utilisateur -cree_le", "type -cree_le"],
    ),
    "SIGNALEMENT": (
        "id_signalement",
        {"id_auteur": "UTILISATEUR", "id_cible": "UTILISATEUR"},
        ["statut -cree_le", "id_cible"],
    ),
    "CLASSEMENT": (
        "id_classement",
        {"id_utilisateur": "UTILISATEUR"},
        ["!id_utilisateur periode role", "periode role -score"],
    ),
    "JOURNAL_NOTIFICATION": (
        "id_notification",
        {"id_utilisateur": "UTILISATEUR"},
        ["id_utilisateur -envoye_le", "ttl:envoye_le"],
    ),
    "INTENTION_PAIEMENT": ("id", {"id_utilisateur": "UTILISATEUR"}, ["id_utilisateur statut"]),
    "ABONNEMENT": (
        "id",
        {"id_utilisateur": "UTILISATEUR"},
        ["id_utilisateur statut", "formule statut"],
    ),
}
PHASE_2_ONLY = {"EVENEMENT_ACTIVITE", "SESSION_IA", "MESSAGE_IA", "AVIS_IA", "ALERTE_MODERATION"}
# What the services need beside it: log-ins, and who moderated what.
OURS = {"IDENTIFIANT", "JETON_RAFRAICHISSEMENT", "JOURNAL_AUDIT"}
STATES = {  # the seed's enums, phases 1 and 2
    ("SESSION", "statut"): {"PROPOSEE", "CONFIRMEE", "REALISEE", "ANNULEE", "ABSENCE"},
    ("COMPETENCE", "type"): {"ENSEIGNE", "APPREND"},
    ("COMPETENCE", "niveau"): {"DEBUTANT", "INTERMEDIAIRE", "AVANCE"},
    ("ABONNEMENT", "statut"): {"ACTIF", "EN_ATTENTE", "SUSPENDU", "EXPIRE"},
    ("INTENTION_PAIEMENT", "statut"): {"INITIEE", "CONFIRMEE", "ANNULEE", "EXPIREE"},
    ("FACTURE", "statut"): {"EN_ATTENTE", "PAYEE", "REMBOURSEE"},
}


def written(entity: Entity) -> set[str]:
    """The indexes of an entity as the table above writes them."""
    forms = set()
    for index in entity.indexes:
        signs = {Order.DESCENDING: "-", Order.TEXT: "text:", Order.SPHERE: "2dsphere:"}
        form = " ".join(f"{signs.get(key.order, '')}{key.field}" for key in index.keys)
        forms.add("!" * index.unique + "ttl:" * (index.expire_after is not None) + form)
    return forms


def test_the_seed_s_entities_are_all_there_and_no_others() -> None:
    assert {entity.name for entity in collections()} == {
        name for name in TP3 if BY_NAME[name].store is Store.MONGO
    } | PHASE_2_ONLY | OURS
    assert len(collections()) == 25
    assert {entity.name for entity in tables()} == {
        "INTENTION_PAIEMENT",
        "FACTURE",
        "ABONNEMENT",
        "DROIT_ACCES",
    }


@pytest.mark.parametrize("name", TP3)
def test_keys_references_and_indexes_are_the_seed_s(name: str) -> None:
    key, references, indexes = TP3[name]
    entity = BY_NAME[name]
    assert entity.key == key
    declared = {reference.field: reference.entity for reference in entity.references}
    assert references.items() <= declared.items()
    assert set(indexes) <= written(entity)


@pytest.mark.parametrize(("place", "values"), STATES.items())
def test_enums_are_the_seed_s(place: tuple[str, str], values: set[str]) -> None:
    assert set(BY_NAME[place[0]].field(place[1]).values) == values


def test_write_concerns_are_tp3_s() -> None:
    assert BY_NAME["MESSAGE"].guarantee.text == "w:1"
    assert BY_NAME["SESSION"].guarantee.text == "w:majority, j:true"
    assert BY_NAME["AVIS"].guarantee.text == "w:majority, j:true"
    assert all(table.guarantee.synchronous for table in tables())
    assert {entity.guarantee.reporting for entity in collections()} == {"secondary"}


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.name)
def test_an_entity_is_whole(entity: Entity) -> None:
    fields = {field.name for field in entity.fields}
    assert len(fields) == len(entity.fields)
    assert entity.field(entity.key).kind is Kind.ID
    for reference in entity.references:
        kind = entity.field(reference.field).kind
        assert kind in {Kind.ID, Kind.STRINGS}
        assert reference.entity in BY_NAME
    for index in entity.indexes:
        query = index.serves
        asked = {*query.equal, *(field.lstrip("-") for field in query.sort)}
        asked |= {field for field in (query.since, query.words, query.near) if field}
        assert asked
        assert asked <= set(index.fields) <= fields
        assert query_text(query)
    if entity.states:
        states = {state for state, _ in entity.states.after}
        assert states == set(entity.field(entity.states.field).values)
        assert {to for _, after in entity.states.after for to in after} <= states
        assert set(entity.states.first) <= states


@pytest.mark.parametrize("entity", collections(), ids=lambda entity: entity.name)
def test_a_collection_can_spread_without_losing_a_uniqueness(entity: Entity) -> None:
    """MongoDB keeps a unique index over shards only where the shard key is its prefix."""
    assert entity.home in SEGMENTS
    assert entity.shard_key is not None
    assert set(entity.shard_key.fields) <= {field.name for field in entity.fields}
    for index in entity.indexes:
        if index.unique:
            assert not entity.shard_key.hashed
            assert index.fields[: len(entity.shard_key.fields)] == entity.shard_key.fields


def test_what_expires_says_so_in_both_places() -> None:
    for entity in collections():
        by_index = {index.expire_after for index in entity.indexes} - {None}
        assert by_index == {entity.retention.seconds} - {None}


def test_money_is_never_a_measure() -> None:
    for table in tables():
        for field in table.fields:
            assert field.kind is not Kind.NUMBER
            assert (field.kind is Kind.MONEY) == (field.name == "montant")


def test_tables_come_after_what_they_refer_to() -> None:
    seen: set[str] = set()
    for table in tables():
        inside = {to.entity for to in table.references if BY_NAME[to.entity] in tables()}
        assert inside <= seen
        seen.add(table.name)


def test_show_fits_the_page() -> None:
    for words in (["show"], *(["show", entity.name] for entity in ENTITIES)):
        ended = CliRunner().invoke(command, words)
        assert ended.exit_code == 0, ended.output
        assert all(len(line) <= 100 for line in ended.output.splitlines())
    ended = CliRunner().invoke(command, ["show", "message", "--output", "json"])
    assert json.loads(ended.output)["guarantee"]["w"] == 1
