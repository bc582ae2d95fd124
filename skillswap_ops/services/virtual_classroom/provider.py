"""The video provider: behind an interface, because the room is somebody else's.

What is shipped signs links for a Jitsi Meet server that admits holders of a JSON web token (its
`token` authentication). Without one in the settings (`providers.video`) the service refuses (501).
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import jwt

from manifests.services.settings import Providers, VideoProvider
from skillswap_ops.services.base import problems
from skillswap_ops.services.base.problems import ApiError


class Video(Protocol):
    """What the service needs of a provider."""

    def link(self, room: str, user: str, *, moderates: bool, until: datetime) -> str:
        """A link into the room for this user, good until then."""
        ...


class Jitsi:
    """Links with a token, as Jitsi's `lib-jitsi-meet` documents them."""

    def __init__(self, chosen: VideoProvider, clock: Callable[[], float] = time.time) -> None:
        self._chosen = chosen
        self._clock = clock

    def link(self, room: str, user: str, *, moderates: bool, until: datetime) -> str:
        """`https://host/ROOM?jwt=…`."""
        claims = {
            "aud": "jitsi",
            "iss": self._chosen.application,
            "sub": "*",
            "room": room,
            "nbf": int(self._clock()) - 10,
            "exp": int(until.timestamp()),
            "context": {"user": {"id": user, "moderator": moderates}},
        }
        token = jwt.encode(claims, self._chosen.secret.get_secret_value(), "HS256")
        return f"{self._chosen.base_url}/{room}?jwt={token}"


def video(providers: Providers) -> Video:
    """The configured one. Raises ApiError (501) where there is none."""
    if providers.video is None:
        raise ApiError(problems.NOT_CONFIGURED, "no video provider is configured")
    return Jitsi(providers.video)
