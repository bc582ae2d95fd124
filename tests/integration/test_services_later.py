"""The services of the later stages: files, groups, gamification, AI, virtual classroom."""

import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import jwt
import pytest

from tests.integration.providers import bucket_of_s3, fake_model
from tests.integration.service_lab import PORT, Instance, ServiceLab, User, expect, refused
from tests.integration.test_services_journey import eventually, keyed, proposal

pytestmark = pytest.mark.servers

SECRET = "a shared secret of the video server"


def acts(user: User, instance: Instance) -> httpx.Client:
    """The user at this instance itself."""
    headers = {"Authorization": f"Bearer {user.token}"}
    return httpx.Client(base_url=instance.url, headers=headers, timeout=30)


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, str]]:
    with bucket_of_s3() as store:
        yield store


def test_files_are_given_out_when_they_are_clean(
    services: ServiceLab, bucket: dict[str, str]
) -> None:
    data = b"%PDF-1.7 " + b"x" * 100
    owner, reader = services.user(), services.user()
    with services.beside("files-1", s3=bucket) as instance:
        mine, theirs = acts(owner, instance), acts(reader, instance)
        wanted = {
            "type": "DOCUMENT",
            "type_media": "application/pdf",
            "taille_octets": len(data),
        }
        refused(mine.post("/files", json=wanted | {"type": "IMAGE"}), 422, "invalid")
        made = expect(mine.post("/files", json=wanted), 201)
        own = made["fichier"]["id_media"]
        scan = f"{instance.url}/internal/files/{own}/analyse"
        clean = {"resultat": "SAIN"}
        refused(httpx.put(scan, json=clean, headers=services.service()), 409, "wrong-state")
        sent = httpx.put(made["lien"], content=data, headers={"Content-Type": "application/pdf"})
        assert sent.status_code == 200
        refused(theirs.get(f"/files/{own}/lien"), 409, "wrong-state")
        refused(mine.put(f"/internal/files/{own}/analyse", json=clean), 403, "forbidden")
        assert httpx.put(scan, json=clean, headers=services.service()).status_code == 204
        link = expect(theirs.get(f"/files/{own}/lien"), 200)["lien"]
        assert httpx.get(link).content == data
        refused(theirs.delete(f"/files/{own}"), 404, "not-found")
        assert mine.delete(f"/files/{own}").status_code == 204
        assert httpx.get(link).status_code == 404
        assert expect(mine.get("/files"), 200)["fichiers"] == []


def test_groups_and_their_tasks(services: ServiceLab) -> None:
    leader, member, stranger = services.user(), services.user(), services.user()
    with services.beside("groups-1") as instance:
        leads, joins, other = (acts(user, instance) for user in (leader, member, stranger))
        public = expect(leads.post("/groups", json={"titre": "Jardin"}), 201)["id_groupe"]
        secret = {"titre": "Secret", "visibilite": "PRIVE"}
        private = expect(leads.post("/groups", json=secret), 201)["id_groupe"]
        mine = {"role": "MEMBRE"}
        assert joins.put(f"/groups/{public}/members/{member.id}", json=mine).status_code == 204
        refused(joins.put(f"/groups/{private}/members/{member.id}", json=mine), 404, "not-found")
        boss = {"role": "ADMIN"}
        refused(joins.put(f"/groups/{public}/members/{member.id}", json=boss), 403, "forbidden")
        assert leads.put(f"/groups/{private}/members/{member.id}", json=mine).status_code == 204
        expect(joins.get(f"/groups/{private}"), 200)
        refused(other.get(f"/groups/{private}"), 404, "not-found")
        task = {"titre": "Arroser", "echeance": "2030-01-01T00:00:00Z"}
        refused(joins.post(f"/groups/{public}/tasks", json=task), 403, "forbidden")
        own = expect(leads.post(f"/groups/{public}/tasks", json=task), 201)["id_tache"]
        refused(other.get(f"/groups/{public}/tasks"), 403, "forbidden")
        url = f"/groups/{public}/tasks/{own}/statut"
        expect(joins.put(url, json={"statut": "TERMINEE"}), 200)
        done = expect(joins.get(f"/groups/{public}/tasks", params={"statut": "TERMINEE"}), 200)
        assert [one["id_tache"] for one in done["taches"]] == [own]


def test_points_count_once(services: ServiceLab) -> None:
    user = services.user()
    with services.beside("gamification-1") as instance:
        own = str(uuid4())
        body = {"id_utilisateur": user.id, "type": "SESSION_DONNEE"}
        for _ in range(3):
            url = f"{instance.url}/internal/events/{own}"
            expect(httpx.put(url, json=body, headers=services.service("sessions")), 202)
        client = acts(user, instance)
        found = eventually(
            lambda: (n := expect(client.get(f"/gamification/users/{user.id}"), 200))["points"] and n
        )
        assert (found["points"], found["sessions_donnees"]) == (20, 1)
        best = expect(client.get("/gamification/leaderboard"), 200)["rangs"]
        assert {"id_utilisateur": user.id, "score": 20} in [
            {name: one[name] for name in ("id_utilisateur", "score")} for one in best
        ]


@pytest.fixture
def model() -> Iterator[str]:
    with fake_model() as url:
        yield url


def test_agents_answer_those_who_have_paid(services: ServiceLab, model: str) -> None:
    user = services.user()
    mentor = {"agent": "MENTOR"}
    with services.beside("ai-1") as instance:
        refused(acts(user, instance).post("/ai/sessions", json=mentor), 501, "not-configured")
    providers = {"ai": {"base_url": model, "model": "test"}}
    with services.beside("ai-2", providers=providers) as instance:
        client = acts(user, instance)
        refused(client.post("/ai/sessions", json=mentor), 403, "forbidden")
        offer = {"formule": "VIP"}
        made = expect(user.client.post("/payments/subscriptions", json=offer, headers=keyed()), 201)
        pay = f"/payments/intents/{made['id_intention']}/confirm"
        expect(user.client.post(pay, json={"jeton_carte": "tok_approved"}), 200)
        own = expect(client.post("/ai/sessions", json=mentor), 201)["id_session_ia"]
        url = f"/ai/sessions/{own}"
        for turns in ("2", "4"):  # the agent's instructions, and all that was said
            answer = expect(client.post(f"{url}/messages", json={"texte": "Bonjour"}), 201)
            assert answer["texte"] == turns
        said = expect(client.get(f"{url}/messages"), 200)["messages"]
        assert [one["auteur"] for one in said] == ["UTILISATEUR", "AGENT"] * 2
        expect(client.post(f"{url}/review", json={"note_etoiles": 5}), 201)
        refused(client.post(f"{url}/review", json={"note_etoiles": 5}), 409, "conflict")
        refused(acts(services.user(), instance).get(f"{url}/messages"), 404, "not-found")
    broken = {"ai": {"base_url": "http://127.0.0.1:1", "model": "test"}}
    with services.beside("ai-3", providers=broken) as instance:
        client = acts(user, instance)
        refused(client.post(f"{url}/messages", json={"texte": "?"}), 503, "unavailable")
        assert len(expect(client.get(f"{url}/messages"), 200)["messages"]) == 4


def test_a_room_for_a_confirmed_session(services: ServiceLab) -> None:
    learner, teacher = services.user(), services.user()
    made = learner.client.post("/sessions", json=proposal(teacher), headers=keyed())
    own = expect(made, 201)["id_session"]
    video = {"base_url": "https://meet.example.org", "application": "app", "secret": SECRET}
    name = "virtual-classroom-1"
    with services.beside(name, providers={"video": video}) as instance:
        room = f"/classrooms/{own}/join"
        refused(acts(learner, instance).post(room), 409, "wrong-state")
        confirm = {"statut": "CONFIRMEE"}
        expect(teacher.client.put(f"/sessions/{own}/statut", json=confirm), 200)
        refused(acts(services.user(), instance).post(room), 404, "not-found")
        for user, moderates in ((learner, False), (teacher, True)):
            link = urlsplit(expect(acts(user, instance).post(room), 200)["lien"])
            assert (link.netloc, link.path) == ("meet.example.org", f"/skillswap-{own}")
            (token,) = parse_qs(link.query)["jwt"]
            claims = jwt.decode(token, SECRET, ["HS256"], audience="jitsi")
            assert claims["context"]["user"] == {"id": user.id, "moderator": moderates}
            assert claims["exp"] < time.time() + 2 * 3600
    with services.beside("virtual-classroom-2") as instance:
        refused(acts(teacher, instance).post(room), 501, "not-configured")
    assert PORT == 8080


def test_sigterm_drains_and_ends_with_0(services: ServiceLab) -> None:
    """What is in flight, and what still comes while proxies learn of it, is answered."""
    user = services.user()
    with services.beside("skills-2", drain_seconds=2) as instance:
        client = acts(user, instance)
        instance.process.terminate()
        eventually(lambda: client.get("/readyz").status_code == 503, 2)
        refused(client.get("/readyz"), 503, "draining")
        answer = client.get("/skills")
        assert answer.status_code == 200
        assert answer.headers["connection"] == "close"
        assert instance.process.wait(20) == 0
