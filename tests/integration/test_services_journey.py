"""The user's journey of phase 1 through the gateway, and what is refused on the way."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.integration.service_lab import PASSWORD, ServiceLab, User, expect, refused

pytestmark = pytest.mark.servers


def proposal(partner: User, **changes: Any) -> dict[str, Any]:
    begin = datetime.now(UTC)
    return {
        "role": "APPRENANT",
        "id_partenaire": partner.id,
        "debut": begin.isoformat(),
        "fin": (begin + timedelta(hours=1)).isoformat(),
        "mode": "DISTANCIEL",
        "lieu_ou_lien": "https://meet.example.org/room",
        **changes,
    }


def keyed(key: str | None = None) -> dict[str, str]:
    return {"Idempotency-Key": key or str(uuid4())}


def eventually(ask: Any, seconds: float = 15) -> Any:
    """What `ask` gives, as soon as it gives something."""
    end = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def learner(services: ServiceLab) -> User:
    return services.user(name="Léa Martin")


@pytest.fixture(scope="module")
def teacher(services: ServiceLab) -> User:
    return services.user(name="Tom Durand")


@pytest.fixture(scope="module")
def admin(services: ServiceLab) -> User:
    return services.user("APPRENANT", "MODERATEUR", "ADMIN")


def test_matching_by_words_level_language_and_place(learner: User, teacher: User) -> None:
    place = {"longitude": 2.3522, "latitude": 48.8566}
    expect(teacher.client.patch("/users/me", json={"localisation": place}), 200)
    word = f"guitare{uuid4().hex[:8]}"
    skill = {
        "libelle": f"Cours de {word}",
        "type": "ENSEIGNE",
        "niveau": "AVANCE",
        "disponibilite": "le soir",
        "langues": ["fr"],
    }
    made = expect(teacher.client.post("/skills", json=skill), 201)
    near = {"mots": word, "longitude": 2.36, "latitude": 48.86, "rayon_km": 10}
    found = expect(learner.client.get("/matches", params=near), 200)["correspondances"]
    assert [one["competence"]["id_competence"] for one in found] == [made["id_competence"]]
    assert found[0]["distance_km"] == pytest.approx(0.7, abs=0.2)
    far = near | {"latitude": 43.3, "longitude": 5.4}
    assert expect(learner.client.get("/matches", params=far), 200)["correspondances"] == []
    for params, count in (
        ({"niveau": "DEBUTANT"}, 0),
        ({"langue": "fr"}, 1),
        ({"type": "APPREND"}, 0),
    ):
        listed = expect(learner.client.get("/skills", params={"mots": word, **params}), 200)
        assert len(listed["competences"]) == count


def test_the_whole_journey(learner: User, teacher: User) -> None:
    # The write chain: a session, its first message and its payment.
    body = proposal(
        teacher, message={"texte": "Bonjour !"}, paiement={"montant": 2500, "devise": "EUR"}
    )
    key = keyed()
    session = expect(learner.client.post("/sessions", json=body, headers=key), 201)
    assert session["statut"] == "PROPOSEE"
    again = expect(learner.client.post("/sessions", json=body, headers=key), 200)
    assert {**again, "chaine": ""} == {**session, "chaine": ""}
    refused(
        learner.client.post("/sessions", json=body | {"mode": "PRESENTIEL"}, headers=key),
        422,
        "idempotency-key-reused",
    )
    own = session["id_session"]
    eventually(lambda: expect(learner.client.get(f"/sessions/{own}"), 200)["chaine"] == "TERMINEE")
    intent = expect(learner.client.get(f"/payments/intents/{session['id_intention']}"), 200)
    assert (intent["montant"], intent["statut"]) == (2500, "INITIEE")

    # Chat.
    history = expect(teacher.client.get(f"/chat/sessions/{own}/messages"), 200)["messages"]
    assert [(m["texte"], m["id_expediteur"]) for m in history] == [("Bonjour !", learner.id)]
    answer = {"id_message": str(uuid4()), "texte": "Avec plaisir"}
    expect(teacher.client.post(f"/chat/sessions/{own}/messages", json=answer), 201)
    page = expect(learner.client.get(f"/chat/sessions/{own}/messages", params={"limite": 1}), 200)
    rest = expect(
        learner.client.get(f"/chat/sessions/{own}/messages", params={"curseur": page["suivant"]}),
        200,
    )
    assert [m["texte"] for m in page["messages"] + rest["messages"]] == [
        "Bonjour !",
        "Avec plaisir",
    ]

    # The session takes place.
    def status(user: User, wanted: str) -> httpx.Response:
        return user.client.put(f"/sessions/{own}/statut", json={"statut": wanted})

    refused(status(learner, "CONFIRMEE"), 403, "forbidden")
    refused(status(teacher, "REALISEE"), 409, "wrong-state")
    expect(status(teacher, "CONFIRMEE"), 200)
    expect(status(teacher, "CONFIRMEE"), 200)
    refused(status(learner, "REALISEE"), 403, "forbidden")
    review = {
        "id_session": own,
        "note_etoiles": 4,
        "ponctualite": 5,
        "pedagogie": 4,
        "motivation": 4,
        "communication": 3,
    }
    refused(learner.client.post("/reviews", json=review), 409, "wrong-state")
    expect(status(teacher, "REALISEE"), 200)
    refused(status(teacher, "ANNULEE"), 409, "wrong-state")

    # Review, and the reputation that follows.
    expect(learner.client.post("/reviews", json=review), 201)
    refused(learner.client.post("/reviews", json=review), 409, "conflict")
    eventually(lambda: expect(learner.client.get(f"/users/{teacher.id}"), 200)["reputation"] == 4.0)
    summary = expect(learner.client.get(f"/reviews/users/{teacher.id}/summary"), 200)
    assert (summary["nombre"], summary["communication"]) == (1, 3.0)

    # Pay.
    confirm = f"/payments/intents/{session['id_intention']}/confirm"
    refused(learner.client.post(confirm, json={"jeton_carte": "tok_declined"}), 402, "declined")
    invoice = expect(learner.client.post(confirm, json={"jeton_carte": "tok_approved"}), 200)
    assert (invoice["statut"], invoice["montant"]) == ("PAYEE", 2500)
    assert (
        expect(learner.client.post(confirm, json={"jeton_carte": "tok_approved"}), 200) == invoice
    )
    refused(
        learner.client.post(f"/payments/intents/{session['id_intention']}/cancel"),
        409,
        "wrong-state",
    )

    # What both were told.
    def told(user: User) -> set[str]:
        page = expect(user.client.get("/notifications"), 200)
        return {one["sujet"] for one in page["notifications"] if one["statut"] == "ENVOYEE"}

    eventually(lambda: "Une session vous est proposée" in told(teacher))
    eventually(lambda: "Votre session est confirmée" in told(learner))


def test_a_cancelled_session_s_intent_is_cancelled(learner: User, teacher: User) -> None:
    body = proposal(teacher, paiement={"montant": 100})
    session = expect(learner.client.post("/sessions", json=body, headers=keyed()), 201)
    url = f"/sessions/{session['id_session']}/statut"
    expect(learner.client.put(url, json={"statut": "ANNULEE"}), 200)
    intent = f"/payments/intents/{session['id_intention']}"
    eventually(lambda: expect(learner.client.get(intent), 200)["statut"] == "ANNULEE")


def test_a_subscription_gives_its_rights(learner: User) -> None:
    key = keyed()
    made = expect(
        learner.client.post("/payments/subscriptions", json={"formule": "VIP"}, headers=key), 201
    )
    again = expect(
        learner.client.post("/payments/subscriptions", json={"formule": "VIP"}, headers=key), 201
    )
    assert (again["id"], again["statut"]) == (made["id"], "EN_ATTENTE")
    assert expect(learner.client.get("/payments/entitlements"), 200)["droits"] == []
    confirm = f"/payments/intents/{made['id_intention']}/confirm"
    for _ in range(2):
        expect(learner.client.post(confirm, json={"jeton_carte": "tok_approved"}), 200)
    rights = expect(learner.client.get("/payments/entitlements"), 200)["droits"]
    assert {one["droit"] for one in rights} == {
        "SESSIONS_ILLIMITEES",
        "AGENTS_IA",
        "CLASSE_VIRTUELLE",
        "TRADUCTION",
    }


# Refusals


def test_wrong_and_expired_tokens(services: ServiceLab, learner: User) -> None:
    gateway = services.instances["gateway-1"].url
    jwt = services.settings("gateway-1").jwt
    old = type(services.tokens)(jwt, clock=lambda: time.time() - jwt.access_seconds - 60)
    forged = learner.token[:-6] + "AAAAAA"
    for token, detail in (
        (forged, "the token is not valid"),
        (old.access(learner.id, ()), "the token has expired"),
    ):
        headers = {"Authorization": f"Bearer {token}"}
        body = refused(httpx.get(f"{gateway}/users/me", headers=headers), 401, "unauthenticated")
        assert body["detail"] == detail
        # The service checks for itself, whoever has got past the gateway.
        direct = httpx.get(f"{services.instances['auth-1'].url}/users/me", headers=headers)
        refused(direct, 401, "unauthenticated")
    refused(httpx.get(f"{gateway}/users/me"), 401, "unauthenticated")
    refused(httpx.get(f"{gateway}/users/me", headers=services.service()), 403, "forbidden")


def test_internal_operations_are_not_for_users(services: ServiceLab, learner: User) -> None:
    path = f"/internal/users/{learner.id}"
    refused(learner.client.get(path), 404, "not-found")
    refused(learner.client.get(f"/auth/..{path}"), 404, "not-found")
    raw = httpx.URL(services.instances["gateway-1"].url).copy_with(
        raw_path=f"/auth/%2e%2e{path}".encode()
    )
    refused(httpx.get(raw, headers=dict(learner.client.headers)), 404, "not-found")
    direct = services.instances["auth-1"].url + path
    headers = {"Authorization": f"Bearer {learner.token}"}
    refused(httpx.get(direct, headers=headers), 403, "forbidden")


def test_what_is_another_user_s(services: ServiceLab, learner: User, teacher: User) -> None:
    stranger = services.user()
    session = expect(
        learner.client.post("/sessions", json=proposal(teacher), headers=keyed()), 201
    )["id_session"]
    for path in (f"/sessions/{session}", f"/chat/sessions/{session}/messages"):
        expect(teacher.client.get(path), 200)
        refused(stranger.client.get(path), 404, "not-found")
    change = stranger.client.put(f"/sessions/{session}/statut", json={"statut": "CONFIRMEE"})
    refused(change, 404, "not-found")
    intent = expect(
        learner.client.post("/payments/intents", json={"montant": 5}, headers=keyed()), 201
    )["id"]
    refused(stranger.client.get(f"/payments/intents/{intent}"), 404, "not-found")
    pay = {"jeton_carte": "tok_approved"}
    refused(stranger.client.post(f"/payments/intents/{intent}/confirm", json=pay), 404, "not-found")
    skill = {
        "libelle": "Piano",
        "type": "ENSEIGNE",
        "niveau": "DEBUTANT",
        "disponibilite": "tôt",
        "langues": ["en"],
    }
    own = expect(learner.client.post("/skills", json=skill), 201)["id_competence"]
    refused(stranger.client.put(f"/skills/{own}", json=skill), 404, "not-found")
    refused(stranger.client.delete(f"/skills/{own}"), 404, "not-found")
    refused(stranger.client.get("/admin/reports"), 403, "forbidden")


def test_bodies_that_are_too_long_or_say_too_much(services: ServiceLab, learner: User) -> None:
    long = {"biographie": "x" * (300 * 1024)}
    refused(learner.client.patch("/users/me", json=long), 413, "too-large")
    direct = f"{services.instances['auth-1'].url}/users/me"
    headers = {"Authorization": f"Bearer {learner.token}"}
    refused(httpx.patch(direct, json=long, headers=headers), 413, "too-large")
    unknown = refused(
        learner.client.patch("/users/me", json={"nom": "x", "roles": ["ADMIN"]}), 422, "invalid"
    )
    assert unknown["fields"] == [{"where": "body.roles", "reason": "unknown field"}]


def test_a_flood_is_refused_and_counted_over_instances(services: ServiceLab, learner: User) -> None:
    """Two gateways share the count in Redis; one without Redis still counts for itself."""
    fresh = services.user()
    headers = {"Authorization": f"Bearer {fresh.token}"}
    few = {"user_per_minute": 10, "anonymous_per_minute": 10, "login_per_minute": 3}
    with (
        services.beside("gateway-2", limits=few) as one,
        services.beside("gateway-3", limits=few) as two,
    ):
        codes = [
            httpx.get(f"{(one, two)[n % 2].url}/users/me", headers=headers).status_code
            for n in range(16)
        ]
        assert codes[:10] == [200] * 10
        assert set(codes[11:]) == {429}
        last = httpx.get(f"{one.url}/users/me", headers=headers)
        refused(last, 429, "too-many-requests")
        assert 1 <= int(last.headers["retry-after"]) <= 60
        # Others go on.
        other = {"Authorization": f"Bearer {learner.token}"}
        assert httpx.get(f"{one.url}/users/me", headers=other).status_code == 200
        tries = [
            httpx.post(
                f"{one.url}/auth/login",
                json={"courriel": learner.email, "mot_de_passe": "wrong password"},
            ).status_code
            for _ in range(5)
        ]
        assert tries == [401, 401, 401, 429, 429]
    gone = services.stores()["redis"] | {"port": 1}
    with services.beside("gateway-4", limits=few, redis=gone) as alone:
        # Its own windows begin with the clock's minutes, and a new one lets somebody through.
        eventually(lambda: time.time() % 60 < 40, 30)
        codes = [httpx.get(f"{alone.url}/users/me", headers=headers).status_code for _ in range(13)]
        assert codes == [200] * 10 + [429] * 3
        ready = expect(httpx.get(f"{alone.url}/readyz"), 200)
        assert ready["degraded"] == ["redis"]


# Accounts


def test_refresh_tokens_rotate_and_reuse_ends_the_log_in(services: ServiceLab) -> None:
    user = services.user()
    first = user.refresh

    def refresh(token: str) -> httpx.Response:
        return user.client.post("/auth/refresh", json={"refresh_token": token})

    user.take(expect(refresh(first), 200))
    second = user.refresh
    assert second != first
    expect(user.client.get("/users/me"), 200)
    user.take(expect(refresh(second), 200))
    refused(refresh(first), 401, "refresh-token-reused")  # replaced twice: no lost answer
    refused(refresh(user.refresh), 401, "refresh-token-reused")  # the log-in is over
    user.login()
    assert user.client.post("/auth/logout", json={"refresh_token": user.refresh}).status_code == 204
    refused(refresh(user.refresh), 401, "refresh-token-reused")


def test_passwords(services: ServiceLab) -> None:
    user = services.user()
    wrong = {"courriel": user.email, "mot_de_passe": "not the password"}
    refused(user.client.post("/auth/login", json=wrong), 401, "wrong-credentials")
    nobody = {"courriel": "nobody@example.org", "mot_de_passe": "not the password"}
    refused(user.client.post("/auth/login", json=nobody), 401, "wrong-credentials")
    twice = {"nom": "x", "courriel": user.email.upper(), "mot_de_passe": PASSWORD}
    refused(
        user.client.post("/auth/register", json=twice | {"consentement": True}), 409, "conflict"
    )
    refused(
        user.client.post("/auth/register", json=twice | {"consentement": False}), 422, "invalid"
    )
    change = {"ancien": PASSWORD, "nouveau": "another password"}
    assert user.client.put("/auth/password", json=change).status_code == 204
    refused(
        user.client.post("/auth/login", json=wrong | {"mot_de_passe": PASSWORD}),
        401,
        "wrong-credentials",
    )
    user.login("another password")


def test_a_ban_is_honoured_by_auth_at_once_and_by_the_gateway_soon(
    services: ServiceLab, admin: User
) -> None:
    user = services.user()
    report = {"id_cible": user.id, "motif": "SPAM", "description": "…"}
    made = expect(admin.client.post("/reports", json=report), 201)["id_signalement"]
    url = f"/admin/reports/{made}/statut"
    expect(admin.client.put(url, json={"statut": "TRAITE"}), 200)
    refused(admin.client.put(url, json={"statut": "EN_COURS"}), 409, "wrong-state")
    ban = f"/admin/users/{user.id}/ban"
    assert admin.client.put(ban, json={"motif": "spam"}).status_code == 204
    login = {"courriel": user.email, "mot_de_passe": PASSWORD}
    refused(user.client.post("/auth/login", json=login), 403, "banned")
    eventually(lambda: user.client.get("/users/me").status_code == 403, 5)
    refused(user.client.get("/users/me"), 403, "banned")
    assert admin.client.delete(ban).status_code == 204
    eventually(lambda: user.client.get("/users/me").status_code == 200, 5)
    user.login()
    audit = expect(admin.client.get("/admin/audit", params={"id_cible": user.id}), 200)["entrees"]
    assert [(one["action"], one["abouti"]) for one in audit] == [
        ("LEVER_BANNISSEMENT", True),
        ("BANNIR", True),
        ("TRAITER_SIGNALEMENT", True),
    ]


def test_export_and_removal(services: ServiceLab, teacher: User) -> None:
    user = services.user(name="Personne Effacée")
    body = proposal(teacher, message={"texte": "un secret"}, paiement={"montant": 100})
    session = expect(user.client.post("/sessions", json=body, headers=keyed()), 201)
    eventually(
        lambda: (
            expect(user.client.get(f"/sessions/{session['id_session']}"), 200)["chaine"]
            == "TERMINEE"
        )
    )
    everything = expect(user.client.get("/users/me/export"), 200)["donnees"]
    assert everything["auth"]["UTILISATEUR"][0]["courriel"] == user.email
    assert everything["chat"]["MESSAGE"][0]["texte"] == "un secret"
    assert everything["payments"]["INTENTION_PAIEMENT"][0]["montant"] == 100
    expect(user.client.delete("/users/me"), 202)
    login = {"courriel": user.email, "mot_de_passe": PASSWORD}
    refused(user.client.post("/auth/login", json=login), 401, "wrong-credentials")
    eventually(
        lambda: (
            expect(teacher.client.get(f"/users/{user.id}"), 200)["nom"] == "Utilisateur supprimé"
        ),
        20,
    )
    history = expect(teacher.client.get(f"/chat/sessions/{session['id_session']}/messages"), 200)[
        "messages"
    ]
    assert [one["texte"] for one in history] == ["(message supprimé)"]
    eventually(lambda: user.client.get("/users/me").status_code in {403, 404}, 5)
