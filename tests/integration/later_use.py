"""One real use of each later service, through the gateway of a deployment."""

import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from cluster.context import Context
from manifests.services import places
from manifests.services.instances import JWT_KEY, JWT_SECRET
from manifests.services.settings import Jwt
from skillswap_ops.services.base.tokens import Tokens
from tests.integration.service_lab import PASSWORD, expect, refused


@dataclass(frozen=True)
class Deployed:
    """A deployment, seen from a client and from a service."""

    context: Context

    def url(self, port: int = places.PORT) -> str:
        return f"http://{places.proxies(self.context.topology)[0].at(port)}"

    def internal(self, service: str, method: str, path: str, body: Any) -> httpx.Response:
        """A request as another service makes it."""
        jwt = Jwt(active=JWT_KEY, keys={JWT_KEY: self.context.secrets.key(JWT_SECRET)})
        url = self.url(places.internal_port(service)) + path
        token = Tokens(jwt).service("test")
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.request(method, url, json=body, headers=headers, timeout=30)

    def user(self) -> tuple[httpx.Client, str, str]:
        """A new user's client, id and e-mail."""
        client = httpx.Client(base_url=self.url(), timeout=30)
        email = f"{uuid4()}@example.org"
        body = {
            "nom": "Ada Lovelace",
            "courriel": email,
            "mot_de_passe": PASSWORD,
            "roles": ["APPRENANT", "ENSEIGNANT"],
            "consentement": True,
        }
        own = expect(client.post("/auth/register", json=body), 201)["id_utilisateur"]
        self.login(client, email)
        return client, own, email

    def login(self, client: httpx.Client, email: str) -> None:
        """Log in (again)."""
        pair = expect(
            client.post("/auth/login", json={"courriel": email, "mot_de_passe": PASSWORD}), 200
        )
        client.headers["Authorization"] = f"Bearer {pair['access_token']}"


def a_file(deployed: Deployed, ca_file: Path) -> None:
    """Announced, sent by one presigned link, called clean, fetched by another, removed."""
    mine, _, _ = deployed.user()
    theirs, _, _ = deployed.user()
    trusting = ssl.create_default_context(cafile=str(ca_file))
    data = b"%PDF-1.7 " + b"x" * 5000
    wanted = {"type": "DOCUMENT", "type_media": "application/pdf", "taille_octets": len(data)}
    made = expect(mine.post("/files", json=wanted), 201)
    own, pdf = made["fichier"]["id_media"], {"Content-Type": "application/pdf"}
    sent = httpx.put(made["lien"], content=data, headers=pdf, verify=trusting)
    assert sent.status_code == 200, sent.text
    clean = {"resultat": "SAIN"}
    scan = f"/internal/files/{own}/analyse"
    assert deployed.internal("files", "PUT", scan, clean).status_code == 204
    link = expect(theirs.get(f"/files/{own}/lien"), 200)["lien"]
    assert httpx.get(link, verify=trusting).content == data
    unsigned = httpx.get(link.partition("?")[0], verify=trusting)
    assert unsigned.status_code == 403
    assert mine.delete(f"/files/{own}").status_code == 204
    assert httpx.get(link, verify=trusting).status_code == 404


def a_group(deployed: Deployed) -> None:
    """With a member, who ends a task of it."""
    leads, _, _ = deployed.user()
    joins, member, _ = deployed.user()
    own = expect(leads.post("/groups", json={"titre": "Jardin"}), 201)["id_groupe"]
    url = f"/groups/{own}/members/{member}"
    assert joins.put(url, json={"role": "MEMBRE"}).status_code == 204
    task = {"titre": "Arroser", "echeance": "2030-01-01T00:00:00Z"}
    todo = expect(leads.post(f"/groups/{own}/tasks", json=task), 201)["id_tache"]
    done = {"statut": "TERMINEE"}
    expect(joins.put(f"/groups/{own}/tasks/{todo}/statut", json=done), 200)
    found = expect(leads.get(f"/groups/{own}/tasks", params=done), 200)["taches"]
    assert [one["id_tache"] for one in found] == [todo]


def a_badge(deployed: Deployed) -> None:
    """A first lesson given earns one."""
    client, own, _ = deployed.user()
    happened = {"id_utilisateur": own, "type": "SESSION_DONNEE"}
    path = f"/internal/events/{uuid4()}"
    assert deployed.internal("gamification", "PUT", path, happened).status_code == 202
    end = time.monotonic() + 20
    while not (seen := expect(client.get(f"/gamification/users/{own}"), 200))["badges"]:
        assert time.monotonic() < end, seen
        time.sleep(0.1)
    assert seen["badges"] == ["PREMIER_COURS"]
    assert seen["points"] == 20


def a_conversation(deployed: Deployed) -> None:
    """With an agent, by somebody who has paid for it."""
    client, _, _ = deployed.user()
    mentor, key = {"agent": "MENTOR"}, {"Idempotency-Key": str(uuid4())}
    refused(client.post("/ai/sessions", json=mentor), 403, "forbidden")
    offer = client.post("/payments/subscriptions", json={"formule": "VIP"}, headers=key)
    pay = f"/payments/intents/{expect(offer, 201)['id_intention']}/confirm"
    expect(client.post(pay, json={"jeton_carte": "tok_approved"}), 200)
    own = expect(client.post("/ai/sessions", json=mentor), 201)["id_session_ia"]
    answer = expect(client.post(f"/ai/sessions/{own}/messages", json={"texte": "Bonjour"}), 201)
    assert answer["texte"] == "2"  # the agent's instructions, and the question
    said = expect(client.get(f"/ai/sessions/{own}/messages"), 200)["messages"]
    assert [one["auteur"] for one in said] == ["UTILISATEUR", "AGENT"]


def no_classroom(deployed: Deployed) -> None:
    """Without a video server it says that it has none."""
    client, _, _ = deployed.user()
    answer = client.post(f"/classrooms/{uuid4()}/join")
    assert answer.status_code in {404, 501}, answer.text


def an_administrator(deployed: Deployed, grant: Any) -> None:
    """Named from the command line, reads the journal, and finds that written down."""
    client, own, email = deployed.user()
    refused(client.get("/admin/audit"), 403, "forbidden")
    assert grant(email) == {"user": own, "added": True}
    assert grant(email) == {"user": own, "added": False}
    deployed.login(client, email)
    entries = expect(client.get("/admin/audit", params={"id_cible": own}), 200)["entrees"]
    assert [(one["action"], one["id_acteur"], one["abouti"]) for one in entries] == [
        ("CHANGER_ROLES", None, True)
    ]
    roles = expect(client.get("/users/me"), 200)["roles"]
    assert set(roles) == {"APPRENANT", "ENSEIGNANT", "ADMIN"}
