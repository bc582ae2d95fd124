"""Who may call an operation, as FastAPI dependencies."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from skillswap_ops.services.base import problems
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.tokens import SERVICE, Principal, Tokens

_bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="An access token")


async def principal(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    """Who asks. Raises ApiError (401)."""
    if credentials is None:
        raise ApiError(problems.UNAUTHENTICATED, "no bearer token")
    tokens: Tokens = request.app.state.tokens
    return tokens.verify(credentials.credentials)


async def user(who: Annotated[Principal, Depends(principal)]) -> Principal:
    """A user, not a service. Raises ApiError (401, 403)."""
    if who.is_service:
        raise ApiError(problems.FORBIDDEN, "for users only")
    return who


def role(*roles: str) -> Callable[[Principal], Coroutine[Any, Any, Principal]]:
    """A dependency: whoever has one of these roles."""

    async def checked(who: Annotated[Principal, Depends(principal)]) -> Principal:
        if not who.has(*roles):
            raise ApiError(problems.FORBIDDEN, f"needs the role {' or '.join(roles)}")
        return who

    return checked


Caller = Annotated[Principal, Depends(principal)]
User = Annotated[Principal, Depends(user)]
Admin = Annotated[Principal, Depends(role("ADMIN"))]
Moderator = Annotated[Principal, Depends(role("MODERATEUR", "ADMIN"))]
Service = Annotated[Principal, Depends(role(SERVICE))]
