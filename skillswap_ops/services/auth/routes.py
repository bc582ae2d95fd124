"""What users call: registration, log-in, profile, export, removal."""

from fastapi import APIRouter
from starlette.status import HTTP_201_CREATED, HTTP_202_ACCEPTED, HTTP_204_NO_CONTENT

from skillswap_ops.services.auth import accounts, logins, removal
from skillswap_ops.services.auth.models import (
    Changes,
    Everything,
    Login,
    OwnProfile,
    PasswordChange,
    Profile,
    Refresh,
    Registration,
    TokenPair,
    own,
    profile,
)
from skillswap_ops.services.base import passwords, problems
from skillswap_ops.services.base.access import User
from skillswap_ops.services.base.models import Answer, Id
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import At

auth = APIRouter(prefix="/auth", tags=["auth"])
users = APIRouter(
    prefix="/users", tags=["users"], responses=problems.documented(*problems.AUTHENTICATED)
)


@auth.post(
    "/register",
    status_code=HTTP_201_CREATED,
    responses=problems.documented(problems.CONFLICT),
)
async def register(asked: Registration, at: At) -> OwnProfile:
    """Open an account."""
    return own(await accounts.register(at, asked))


@auth.post(
    "/login",
    responses=problems.documented(problems.WRONG_CREDENTIALS, problems.BANNED),
)
async def login(asked: Login, at: At) -> TokenPair:
    """Tokens for an e-mail and a password."""
    return await logins.begin(
        at, await accounts.by_password(at, asked.courriel, asked.mot_de_passe)
    )


@auth.post(
    "/refresh",
    responses=problems.documented(problems.TOKEN_REUSED, problems.BANNED, problems.NOT_FOUND),
)
async def refresh(asked: Refresh, at: At) -> TokenPair:
    """The next pair; the given token is not good any more afterwards."""
    return await logins.go_on(at, asked.refresh_token)


@auth.post("/logout", status_code=HTTP_204_NO_CONTENT)
async def logout(asked: Refresh, at: At) -> None:
    """End the log-in; idempotent. Its access token runs out by itself."""
    given = logins.fingerprint(asked.refresh_token)
    await logins.end(at, {"id_jeton": asked.refresh_token.partition(".")[0], "empreinte": given})


@auth.put(
    "/password",
    status_code=HTTP_204_NO_CONTENT,
    responses=problems.documented(*problems.AUTHENTICATED, problems.WRONG_CREDENTIALS),
)
async def change_password(asked: PasswordChange, at: At, who: User) -> None:
    """Change the password; every log-in ends."""
    kept = await accounts.credentials(at, who.subject)
    if not await passwords.fits(asked.ancien, kept["empreinte"] if kept else None):
        raise ApiError(problems.WRONG_CREDENTIALS)
    await accounts.set_password(at, who.subject, asked.nouveau)
    await logins.end(at, {"id_utilisateur": who.subject})


@users.get("/me", responses=problems.documented(*problems.AUTHENTICATED, problems.NOT_FOUND))
async def me(at: At, who: User) -> OwnProfile:
    """One's own profile."""
    return own(await accounts.user(at, who.subject))


@users.patch("/me", responses=problems.documented(*problems.AUTHENTICATED, problems.NOT_FOUND))
async def change(asked: Changes, at: At, who: User) -> OwnProfile:
    """Change one's profile."""
    fields = asked.model_dump(exclude_none=True)
    if asked.localisation:
        fields["localisation"] = asked.localisation.geojson()
    row = await accounts.user(at, who.subject)
    if fields:
        # With the e-mail, which is the shard key: the write then goes to one shard.
        query = {"id_utilisateur": who.subject, "courriel": row["courriel"]}
        row = await at.mongo.set("UTILISATEUR", query, fields) or row
    return own(row)


@users.get("/me/export", responses=problems.documented(*problems.AUTHENTICATED, problems.NOT_FOUND))
async def export(at: At, who: User) -> Everything:
    """Everything that is stored about oneself (RGPD, art. 15 and 20)."""
    return Everything(donnees=await removal.everything(at, who.subject))


class RemovalBegun(Answer):
    """The account is closed now; what else is stored goes within minutes."""

    statut: str = "SUPPRESSION_EN_COURS"


@users.delete(
    "/me",
    status_code=HTTP_202_ACCEPTED,
    responses=problems.documented(*problems.AUTHENTICATED, problems.NOT_FOUND),
)
async def remove(at: At, who: User) -> RemovalBegun:
    """Remove the account (RGPD, art. 17). Accounting records stay, as the law requires."""
    await removal.begin(at, who.subject)
    return RemovalBegun()


@users.get(
    "/{id_utilisateur}",
    responses=problems.documented(*problems.AUTHENTICATED, problems.NOT_FOUND),
)
async def other(id_utilisateur: Id, at: At, _who: User) -> Profile:
    """What everybody sees of a user."""
    return profile(await accounts.user(at, id_utilisateur))
