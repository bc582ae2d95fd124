"""Made-up data tells one story: what is counted was done, what is paid was billed, in order."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from cluster.dataset.community import Document, Rows
from cluster.dataset.profiles import POINTS
from cluster.dataset.world import Plan
from cluster.schema.catalogue import ENTITIES
from cluster.schema.types import Kind
from tests.unit.test_dataset import AS_OF, everything

NOW = datetime(AS_OF.year, AS_OF.month, AS_OF.day)
AHEAD = {
    ("JETON_RAFRAICHISSEMENT", "expire_le"),
    ("SESSION", "debut"),
    ("SESSION", "fin"),
    ("TACHE", "echeance"),
}
AHEAD |= {("ABONNEMENT", "fin"), ("DROIT_ACCES", "expire_le")}


@pytest.fixture(scope="module")
def rows() -> dict[str, Rows]:
    return everything(Plan(3_000, 11, AS_OF))


def by_key(rows: Rows, key: str) -> dict[object, Document]:
    return {row[key]: row for row in rows}


def test_nothing_was_made_after_the_present(rows: dict[str, Rows]) -> None:
    for entity in ENTITIES:
        for field in entity.fields:
            if field.kind is Kind.DATETIME and (entity.name, field.name) not in AHEAD:
                late = [r for r in rows[entity.name] if (r.get(field.name) or NOW) > NOW]
                assert late == [], (entity.name, field.name)


def test_what_expires_outlives_the_data(rows: dict[str, Rows]) -> None:
    """A month at least is left before a TTL index removes anything."""
    checked = 0
    for entity in ENTITIES:
        for index in entity.indexes:
            if index.expire_after is not None:
                checked += 1
                oldest = NOW - timedelta(seconds=index.expire_after) + timedelta(days=30)
                assert all(row[index.fields[0]] >= oldest for row in rows[entity.name])
    assert checked == 4


def test_people_do_nothing_before_they_join(rows: dict[str, Rows]) -> None:
    joined = {row["_id"]: row["cree_le"] for row in rows["UTILISATEUR"]}
    for entity, user, moment in (
        ("LIEN_IDENTITE", "id_utilisateur", "lie_le"),
        ("VERIF_TELEPHONE", "id_utilisateur", "demande_le"),
        ("SESSION", "id_apprenant", "cree_le"),
        ("SESSION", "id_enseignant", "cree_le"),
        ("MESSAGE", "id_expediteur", "cree_le"),
        ("AVIS", "id_emetteur", "cree_le"),
        ("GROUPE", "id_admin", "cree_le"),
        ("ADHESION_GROUPE", "id_utilisateur", "rejoint_le"),
        ("MEDIA", "id_utilisateur", "cree_le"),
        ("EVENEMENT_ACTIVITE", "id_utilisateur", "cree_le"),
        ("JOURNAL_NOTIFICATION", "id_utilisateur", "envoye_le"),
        ("SESSION_IA", "id_utilisateur", "debut"),
        ("UTILISATEUR_BADGE", "id_utilisateur", "obtenu_le"),
        ("ABONNEMENT", "id_utilisateur", "debut"),
        ("INTENTION_PAIEMENT", "id_utilisateur", "cree_le"),
        ("DROIT_ACCES", "id_utilisateur", "accorde_le"),
    ):
        assert all(row[moment] >= joined[row[user]] for row in rows[entity]), (entity, moment)


def test_sessions_are_between_two_and_their_status_fits_the_time(rows: dict[str, Rows]) -> None:
    teachers = {r["id_utilisateur"] for r in rows["COMPETENCE"] if r["type"] == "ENSEIGNE"}
    for row in rows["SESSION"]:
        assert row["id_apprenant"] != row["id_enseignant"]
        assert row["id_enseignant"] in teachers
        assert row["cree_par"] in {row["id_apprenant"], row["id_enseignant"]}
        assert row["cree_le"] < row["debut"] < row["fin"] <= row["debut"] + timedelta(hours=2)
        past = row["fin"] <= NOW
        assert row["statut"] in (
            {"REALISEE", "ANNULEE", "ABSENCE"} if past else {"PROPOSEE", "CONFIRMEE", "ANNULEE"}
        )
        assert ("point_lieu" in row) == (row["mode"] == "PRESENTIEL")


def test_messages_are_the_two_peoples_own_before_they_meet(rows: dict[str, Rows]) -> None:
    sessions, media = by_key(rows["SESSION"], "_id"), by_key(rows["MEDIA"], "_id")
    latest: dict[object, datetime] = {}
    for row in rows["MESSAGE"]:
        session = sessions[row["id_session"]]
        assert row["id_expediteur"] in {session["id_apprenant"], session["id_enseignant"]}
        assert session["cree_le"] <= row["cree_le"] <= session["debut"]
        assert latest.get(row["id_session"], row["cree_le"]) <= row["cree_le"]
        latest[row["id_session"]] = row["cree_le"]
        for key in row.get("pieces_jointes", []):
            assert media[key]["id_utilisateur"] == row["id_expediteur"]
            assert media[key]["analyse_antivirus"] == "SAIN"
            assert media[key]["cree_le"] <= row["cree_le"]


def test_reviews_are_of_sessions_that_took_place_by_one_about_the_other(
    rows: dict[str, Rows],
) -> None:
    sessions = by_key(rows["SESSION"], "_id")
    for row in rows["AVIS"]:
        session = sessions[row["id_session"]]
        assert session["statut"] == "REALISEE"
        assert {row["id_emetteur"], row["id_cible"]} == {
            session["id_apprenant"],
            session["id_enseignant"],
        }
        assert session["fin"] <= row["cree_le"] <= session["fin"] + timedelta(days=7)
    assert len({row["note_etoiles"] for row in rows["AVIS"]}) == 5


def test_statistics_are_the_sums_of_what_is_stored(rows: dict[str, Rows]) -> None:
    done = [row for row in rows["SESSION"] if row["statut"] == "REALISEE"]
    given = Counter(row["id_enseignant"] for row in done)
    taken = Counter(row["id_apprenant"] for row in done)
    written = Counter(row["id_emetteur"] for row in rows["AVIS"])
    joined = Counter(row["id_utilisateur"] for row in rows["ADHESION_GROUPE"])
    stars: dict[object, list[int]] = defaultdict(list)
    for row in rows["AVIS"]:
        stars[row["id_cible"]].append(row["note_etoiles"])
    users = by_key(rows["UTILISATEUR"], "_id")
    for row in rows["STATISTIQUE_UTILISATEUR"]:
        who = row["id_utilisateur"]
        got = stars[who]
        mean = sum(got) / len(got) if got else 0.0
        assert (row["sessions_donnees"], row["sessions_suivies"]) == (given[who], taken[who])
        assert row["avis_recus"] == len(got)
        assert row["note_moyenne"] == pytest.approx(mean, abs=0.005)
        assert users[who]["reputation"] == row["note_moyenne"]
        assert row["points"] == (
            POINTS["SESSION_DONNEE"] * given[who]
            + POINTS["SESSION_SUIVIE"] * taken[who]
            + POINTS["AVIS_LAISSE"] * written[who]
            + POINTS["GROUPE_REJOINT"] * joined[who]
        )


def test_roles_are_what_people_do(rows: dict[str, Rows]) -> None:
    teachers = {r["id_utilisateur"] for r in rows["COMPETENCE"] if r["type"] == "ENSEIGNE"}
    admins = {row["id_admin"] for row in rows["GROUPE"]}
    for row in rows["UTILISATEUR"]:
        assert ("ENSEIGNANT" in row["roles"]) == (row["_id"] in teachers)
        assert ("ADMIN_GROUPE" in row["roles"]) == (row["_id"] in admins)
        assert row["langue_preferee"] in {"fr", "en"}


def test_leader_boards_are_the_months_points(rows: dict[str, Rows]) -> None:
    scores: Counter[tuple[object, str, str]] = Counter()
    for row in rows["EVENEMENT_ACTIVITE"]:
        role = "ENSEIGNANT" if row["type"] == "SESSION_DONNEE" else "APPRENANT"
        scores[row["id_utilisateur"], f"{row['cree_le']:%Y-%m}", role] += row["points"]
    periods = {row["periode"] for row in rows["CLASSEMENT"]}
    assert periods == {"2026-09", "2026-10", "2026-11"}
    held = {
        (row["id_utilisateur"], row["periode"], row["role"]): row["score"]
        for row in rows["CLASSEMENT"]
    }
    mentors = {key: score for key, score in held.items() if key[2] == "MENTOR"}
    assert {key: held[key[0], key[1], "ENSEIGNANT"] for key in mentors} == mentors
    wanted = {key: score for key, score in scores.items() if key[1] in periods}
    assert {key: score for key, score in held.items() if key not in mentors} == wanted


def test_groups_have_their_admin_and_nobody_twice(rows: dict[str, Rows]) -> None:
    groups = by_key(rows["GROUPE"], "_id")
    admins = {}
    for row in rows["ADHESION_GROUPE"]:
        assert row["rejoint_le"] >= groups[row["id_groupe"]]["cree_le"]
        if row["role"] == "ADMIN":
            admins[row["id_groupe"]] = row["id_utilisateur"]
    assert admins == {key: group["id_admin"] for key, group in groups.items()}


def test_complaints_and_alerts_are_about_what_happened(rows: dict[str, Rows]) -> None:
    met = {(row["id_apprenant"], row["id_enseignant"]) for row in rows["SESSION"]}
    assert all((row["id_auteur"], row["id_cible"]) in met for row in rows["SIGNALEMENT"])
    messages = by_key(rows["MESSAGE"], "_id")
    for row in rows["ALERTE_MODERATION"]:
        assert row["cree_le"] >= messages[row["id_message"]]["cree_le"]


def test_assistants_answer_every_question(rows: dict[str, Rows]) -> None:
    sessions = by_key(rows["SESSION_IA"], "_id")
    turns: dict[object, list[Document]] = defaultdict(list)
    for row in rows["MESSAGE_IA"]:
        turns[row["id_session_ia"]].append(row)
    assert set(turns) == set(sessions)
    for key, said in turns.items():
        authors = [row["auteur"] for row in said]
        assert authors == ["UTILISATEUR", "AGENT"] * (len(said) // 2)
        assert said[0]["cree_le"] == sessions[key]["debut"]
    for row in rows["AVIS_IA"]:
        session = sessions[row["id_session_ia"]]
        assert session["statut"] == "TERMINEE"
        assert session["id_utilisateur"] == row["id_utilisateur"]
        assert row["cree_le"] >= max(one["cree_le"] for one in turns[row["id_session_ia"]])


def test_payments_agree_with_one_another(rows: dict[str, Rows]) -> None:
    offers = by_key(rows["ABONNEMENT"], "id")
    payments = by_key(rows["INTENTION_PAIEMENT"], "id")
    states: dict[object, list[str]] = defaultdict(list)
    for row in rows["INTENTION_PAIEMENT"]:
        assert row["id_utilisateur"] == offers[row["id_abonnement"]]["id_utilisateur"]
        states[row["id_abonnement"]].append(row["statut"])
    billed = Counter()
    for row in rows["FACTURE"]:
        paid = payments[row["id_intention_paiement"]]
        same = ("id_abonnement", "montant", "devise")
        assert [row[name] for name in same] == [paid[name] for name in same]
        assert row["emise_le"] == paid["cree_le"]
        assert (row["statut"] == "EN_ATTENTE") == (paid["statut"] == "INITIEE")
        billed[row["id_intention_paiement"]] += 1
    open_or_paid = {k for k, p in payments.items() if p["statut"] in {"CONFIRMEE", "INITIEE"}}
    assert set(billed) == open_or_paid
    assert set(billed.values()) == {1}
    rights = Counter(row["id_abonnement"] for row in rows["DROIT_ACCES"])
    for key, offer in offers.items():
        state, had = offer["statut"], states[key]
        assert (state == "EN_ATTENTE") == (had == ["INITIEE"]) == (rights[key] == 0)
        assert (state == "ACTIF") == (offer["fin"] is not None and offer["fin"] > NOW)
        assert (state == "SUSPENDU") == ("EXPIREE" in had)
        if state != "EN_ATTENTE":
            assert rights[key] == {"PREMIUM": 2, "VIP": 4}[offer["formule"]]
    for row in rows["DROIT_ACCES"]:
        offer = offers[row["id_abonnement"]]
        assert row["id_utilisateur"] == offer["id_utilisateur"]
        assert (row["accorde_le"], row["expire_le"]) == (offer["debut"], offer["fin"])


def test_times_need_no_time_zone_to_be_utc(rows: dict[str, Rows]) -> None:
    moment = rows["SESSION"][0]["debut"]
    assert isinstance(moment, datetime)
    assert moment.tzinfo is None
    assert 8 <= moment.replace(tzinfo=UTC).hour <= 20
