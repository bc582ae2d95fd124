"""The model provider: behind an interface, because answers are somebody else's.

What is shipped speaks OpenAI's chat completions, as most model servers do. Without one in the
settings (`providers.ai`) the service refuses with 501; it never makes an answer up.
"""

from typing import Protocol

import httpx

from manifests.services.settings import AiProvider, Settings
from skillswap_ops.services.base import problems
from skillswap_ops.services.base.calls import UnavailableError
from skillswap_ops.services.base.problems import ApiError

AGENTS = {
    "MENTOR": "Tu es un mentor : propose un parcours d'apprentissage et des activités adaptées.",
    "PROF": "Tu es un professeur : explique pas à pas, avec des exemples.",
    "ETUDIANT": "Tu es un étudiant curieux : pose des questions pour faire enseigner.",
}
Turn = tuple[str, str]  # author (UTILISATEUR or AGENT), text
ROLES = {"UTILISATEUR": "user", "AGENT": "assistant"}


class Model(Protocol):
    """What the service needs of a provider."""

    async def answer(self, agent: str, turns: list[Turn]) -> str:
        """The agent's next turn. Raises UnavailableError, or ApiError (502)."""
        ...


class ChatCompletions:
    """An endpoint that speaks OpenAI's chat completions."""

    def __init__(self, chosen: AiProvider, seconds: float) -> None:
        self._chosen = chosen
        self._seconds = seconds

    async def answer(self, agent: str, turns: list[Turn]) -> str:
        """POST /chat/completions."""
        key = self._chosen.key
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        messages = [{"role": "system", "content": AGENTS[agent]}]
        messages += [{"role": ROLES[author], "content": text} for author, text in turns]
        try:
            async with httpx.AsyncClient(timeout=self._seconds) as client:
                response = await client.post(
                    f"{self._chosen.base_url.rstrip('/')}/chat/completions",
                    json={"model": self._chosen.model, "messages": messages},
                    headers=headers,
                )
        except httpx.TransportError as error:
            raise UnavailableError("ai provider", "no connection") from error
        if response.status_code >= 500 or response.status_code == 429:
            raise UnavailableError("ai provider", f"it answers {response.status_code}")
        return _content(response)


def _content(response: httpx.Response) -> str:
    try:
        response.raise_for_status()
        return str(response.json()["choices"][0]["message"]["content"])
    except (httpx.HTTPStatusError, ValueError, KeyError, IndexError, TypeError) as error:
        raise ApiError(problems.BAD_UPSTREAM, "the provider's answer is not usable") from error


def model(settings: Settings) -> Model:
    """The configured one. Raises ApiError (501) where there is none."""
    if settings.providers.ai is None:
        raise ApiError(problems.NOT_CONFIGURED, "no AI provider is configured")
    return ChatCompletions(settings.providers.ai, settings.deadlines.upstream)
