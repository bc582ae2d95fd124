"""Access tokens: who is asking. Signed with HS256, verified by every service (PyJWT).

One shared key is enough here because every instance runs under the same operator and is given its
keys by the same deployment; `kid` lets two keys be good at once, which is how one is rotated.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

import jwt

from manifests.services.settings import Jwt
from skillswap_ops.services.base import problems
from skillswap_ops.services.base.problems import ApiError

ALGORITHM = "HS256"
SERVICE_SECONDS = 60  # a token from one service to another is made anew for each call
SERVICE = "SERVICE"


@dataclass(frozen=True)
class Principal:
    """Who asks: a user by id, or a service by name."""

    subject: str
    roles: frozenset[str]
    issued_at: int
    expires_at: int

    @property
    def is_service(self) -> bool:
        """Whether a service asks, for itself."""
        return SERVICE in self.roles

    def has(self, *roles: str) -> bool:
        """Whether it has one of these roles."""
        return bool(self.roles & {*roles})


class Tokens:
    """Signs and verifies by the instance's settings.

    `latest` tells them as they are now, `renew` looks for newer ones: for a key that nobody knows.
    """

    def __init__(
        self,
        settings: Jwt,
        clock: Callable[[], float] = time.time,
        *,
        latest: Callable[[], Jwt] | None = None,
        renew: Callable[[], bool] = lambda: False,
    ) -> None:
        self._latest = latest or (lambda: settings)
        self._renew = renew
        self._clock = clock

    @property
    def _settings(self) -> Jwt:
        return self._latest()

    def access(self, user: str, roles: tuple[str, ...]) -> str:
        """A user's access token, good for `access_seconds`."""
        return self._sign(user, roles, self._settings.access_seconds)

    def service(self, name: str) -> str:
        """A service's own token."""
        return self._sign(f"service:{name}", (SERVICE,), SERVICE_SECONDS)

    def verify(self, token: str) -> Principal:
        """Whose token it is. Raises ApiError (401) that says what is wrong with it."""
        try:
            claims = jwt.decode(
                token,
                self._key(token),
                algorithms=[ALGORITHM],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=self._settings.leeway_seconds,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
            return _principal(claims)
        except jwt.ExpiredSignatureError as error:
            raise ApiError(problems.UNAUTHENTICATED, "the token has expired") from error
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise ApiError(problems.UNAUTHENTICATED, "the token is not valid") from error

    def _key(self, token: str) -> str:
        kid = jwt.get_unverified_header(token).get("kid")
        key = self._good(kid) if isinstance(kid, str) else None
        if key is None:
            raise jwt.InvalidKeyError("unknown kid")
        return key

    def _good(self, kid: str) -> str | None:
        if kid not in self._settings.keys:
            self._renew()
        known = self._settings
        if kid not in known.keys or self._clock() > known.until.get(kid, float("inf")):
            return None
        return known.keys[kid].get_secret_value()

    def _sign(self, subject: str, roles: tuple[str, ...], seconds: int) -> str:
        now, jwt_settings = int(self._clock()), self._settings
        claims = {
            "iss": jwt_settings.issuer,
            "aud": jwt_settings.audience,
            "sub": subject,
            "roles": list(roles),
            "iat": now,
            "exp": now + seconds,
            "jti": str(uuid4()),
        }
        key = jwt_settings.keys[jwt_settings.active].get_secret_value()
        return jwt.encode(claims, key, ALGORITHM, headers={"kid": jwt_settings.active})


def _principal(claims: dict[str, object]) -> Principal:
    subject, roles = claims["sub"], claims.get("roles")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise ValueError("roles")
    if SERVICE not in roles:
        UUID(str(subject))
    issued, expires = int(str(claims["iat"])), int(str(claims["exp"]))
    return Principal(str(subject), frozenset(roles), issued, expires)
