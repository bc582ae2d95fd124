"""What one service instance reads: the deployer writes this file, the instance loads it.

One JSON file an instance, readable to its user only, holds everything that differs between
instances; passwords leave memory into that file and nowhere else.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    SerializationInfo,
    ValidationError,
    field_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from cluster.errors import InvalidInputError
from cluster.problems import NOTHING, Problem, problems_of

_SECRET_FIELDS = {"password", "next", "access_key", "secret_key", "key", "keys", "secret"}
REVEAL = "reveal"  # the serialization context in which secrets are written in clear
HS256_BYTES = 32  # RFC 7518 §3.2: a key as long as the hash

Port = Annotated[int, Field(ge=1, le=65_535)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
_HOST = r"^[^\s/:]+:[0-9]{1,5}$"
_URL = r"^https?://[^\s/]+$"
PATTERNS = {
    _HOST: "host:port",
    _URL: "http(s)://host[:port], without a path",
    r"^[a-z][a-z0-9-]{0,62}$": "lowercase letters, digits and dashes",
}
HostPort = Annotated[str, Field(pattern=_HOST)]
Url = Annotated[str, Field(pattern=_URL)]


def _long_enough(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value().encode()) < HS256_BYTES:
        raise PydanticCustomError(
            "short_key", f"must have at least {HS256_BYTES} bytes (RFC 7518 §3.2)"
        )
    return key


SigningKey = Annotated[SecretStr, AfterValidator(_long_enough)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @field_serializer("*", mode="wrap", when_used="json")
    def _secrets(self, value: object, handler: object, info: SerializationInfo) -> object:
        reveal = bool(info.context and info.context.get(REVEAL))
        if isinstance(value, SecretStr):
            return value.get_secret_value() if reveal else str(value)
        if isinstance(value, dict) and any(isinstance(v, SecretStr) for v in value.values()):
            return {
                name: secret.get_secret_value() if reveal else str(secret)
                for name, secret in value.items()
            }
        return handler(value)  # type: ignore[operator]


class MongoStore(_Frozen):
    """The routers, and the application's user there.

    `next`: a password that may be the one to log in with by now, while it is being changed.
    """

    hosts: Annotated[tuple[HostPort, ...], Field(min_length=1)]
    user: str
    password: SecretStr
    next: SecretStr | None = None
    auth_database: str = "admin"


class PostgresStore(_Frozen):
    """The proxies' pooled port (pgbouncer, by transaction), and the application's role.

    `next`: as of MongoStore.
    """

    hosts: Annotated[tuple[str, ...], Field(min_length=1)]
    port: Port
    dbname: str
    user: str
    password: SecretStr
    next: SecretStr | None = None


class RedisStore(_Frozen):
    """Redis, and the application's user there."""

    host: str
    port: Port = 6379
    user: str
    password: SecretStr


class S3Store(_Frozen):
    """A bucket of any S3 endpoint. `ca_file`: whom it trusts; None: whom its machine does."""

    endpoint: str
    region: str
    bucket: str
    access_key: str
    secret_key: SecretStr
    ca_file: str | None = None


class ServiceTls(_Frozen):
    """TLS on both sides: what it shows to clients, and by what it verifies whom it calls."""

    certificate: str
    trust: str


class Jwt(_Frozen):
    """How tokens are signed (HS256): `active` signs, every key of `keys` verifies.

    To rotate: add a key everywhere, make it active, and let the old one verify until the last
    access token that it signed has run out: that moment, in seconds since 1970, is its `until`.
    (Refresh tokens are random, and not signed.) `leeway_seconds` is how far two machines' clocks
    may be apart.
    """

    active: str
    keys: Annotated[dict[str, SigningKey], Field(min_length=1)]
    until: dict[str, int] = {}
    issuer: str = "skillswap"
    audience: str = "skillswap-api"
    access_seconds: Annotated[int, Field(ge=1)] = 900
    refresh_seconds: Annotated[int, Field(ge=1)] = 30 * 86_400
    leeway_seconds: Annotated[int, Field(ge=0, le=300)] = 10

    @model_validator(mode="after")
    def _active_is_known(self) -> Self:
        if self.active not in self.keys:
            raise PydanticCustomError("active_key", "active must name one of keys")
        return self


class Limits(_Frozen):
    """What a client may ask for.

    `user_per_minute` counts a logged-in user's requests at the gateway, `anonymous_per_minute` an
    address's without a token, `login_per_minute` the log-in and registration tries of an address.
    """

    body_bytes: Annotated[int, Field(ge=1024)] = 256 * 1024
    upload_bytes: Annotated[int, Field(ge=1024)] = 30 * 1024 * 1024
    user_per_minute: Annotated[int, Field(ge=1)] = 600
    anonymous_per_minute: Annotated[int, Field(ge=1)] = 300
    login_per_minute: Annotated[int, Field(ge=1)] = 30


class Deadlines(_Frozen):
    """Seconds: a whole request, one call to a store (retries included), one call to a service.

    A store's is shorter than an election may take (TP3 §5: 15 s): a user waits no longer for it, is
    answered 503 and can repeat the request.
    """

    request: Seconds = 10
    store: Seconds = 5
    upstream: Seconds = 8


class Breaker(_Frozen):
    """A store's circuit breaker: opens after `failures` in a row, tries again after `seconds`."""

    failures: Annotated[int, Field(ge=1)] = 5
    seconds: Seconds = 5


class AiProvider(_Frozen):
    """An endpoint that speaks OpenAI's chat completions, as most model servers do."""

    base_url: str
    model: str
    key: SecretStr | None = None


class VideoProvider(_Frozen):
    """A Jitsi Meet server that admits holders of a JSON web token."""

    base_url: Url
    application: str
    secret: SigningKey


class Providers(_Frozen):
    """Who does what is not ours to do; None: the service refuses it with 501.

    `push` "sink": notifications are written to the journal and go no further. `card` "sandbox":
    no money moves, and the card's token says how the charge ends.
    """

    push: Literal["sink"] = "sink"
    card: Literal["sandbox"] | None = None
    ai: AiProvider | None = None
    video: VideoProvider | None = None


class Settings(_Frozen):
    """One instance. The stores are those that the service uses; `upstreams` are base URLs by name.

    `proxies` are the addresses whose `X-Forwarded-For` is believed.
    """

    service: Name
    instance: Name
    version: str
    host: str
    port: Port = 8080
    zone: str = ""
    jwt: Jwt
    mongo: MongoStore | None = None
    postgres: PostgresStore | None = None
    redis: RedisStore | None = None
    s3: S3Store | None = None
    tls: ServiceTls | None = None
    upstreams: dict[Name, Url] = {}
    limits: Limits = Limits()
    deadlines: Deadlines = Deadlines()
    breaker: Breaker = Breaker()
    providers: Providers = Providers()
    cors_origins: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    drain_seconds: Annotated[float, Field(ge=0, le=600)] = 5
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def to_json(self) -> str:
        """The file's text, with every secret in clear: for a file of mode 0600 only."""
        return self._json({})

    def fixed_json(self) -> str:
        """What an instance reads once, at its start: all but what `secrets rotate` changes."""
        password = {"password", "next"}
        return self._json(
            {
                "mongo": password,
                "postgres": password,
                "redis": password,
                "jwt": {"active", "keys", "until"},
            }
        )

    def _json(self, without: dict[str, set[str]]) -> str:
        # What is not there goes unsaid: versions of before refuse what they do not know.
        unsaid: dict[str, Any] = {name: {*fields} for name, fields in without.items()}
        if self.tls is None:
            unsaid["tls"] = True
        for name, store in (("mongo", self.mongo), ("postgres", self.postgres)):
            if store is not None and store.next is None:
                unsaid.setdefault(name, set()).add("next")
        if not self.jwt.until:
            unsaid.setdefault("jwt", set()).add("until")
        return self.model_dump_json(indent=2, context={REVEAL: True}, exclude=unsaid)


def load(path: Path) -> Settings:
    """The settings in a file. Raises InvalidInputError that names each field that is wrong."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidInputError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise InvalidInputError(f"{path} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidInputError(f"{path} must be a mapping")
    return parse(data, str(path))


def parse(data: dict[str, object], origin: str) -> Settings:
    """The settings in decoded JSON. Raises InvalidInputError; secrets are never quoted."""
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        found = problems_of(error, Settings, data, PATTERNS)
        raise InvalidInputError(
            f"{origin}: " + "; ".join(str(_unquoted(problem)) for problem in found),
            "`skillswap-ops services deploy` writes this file",
        ) from error


def _unquoted(problem: Problem) -> Problem:
    """A problem that does not show the secret which it is about."""
    return replace(problem, value=NOTHING) if _SECRET_FIELDS & {*problem.path} else problem
