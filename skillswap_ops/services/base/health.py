"""Whether an instance lives, and whether it may be sent requests."""

from typing import Literal

from fastapi import APIRouter, Response

from skillswap_ops.services.base import problems
from skillswap_ops.services.base.metrics import CONTENT_TYPE_LATEST
from skillswap_ops.services.base.models import Answer
from skillswap_ops.services.base.problems import DRAINING, UNAVAILABLE, ApiError
from skillswap_ops.services.base.runtime import At

router = APIRouter(tags=["operation"])


class Alive(Answer):
    """Which instance this is."""

    service: str
    instance: str
    version: str
    zone: str


class Ready(Answer):
    """It takes requests; `degraded` names the stores that it does without for now."""

    status: Literal["ready"] = "ready"
    degraded: tuple[str, ...] = ()


@router.get("/healthz")
async def healthz(at: At) -> Alive:
    """The process runs; asks no store."""
    settings = at.settings
    return Alive(
        service=settings.service,
        instance=settings.instance,
        version=settings.version,
        zone=settings.zone,
    )


@router.get("/readyz", responses=problems.documented(DRAINING, UNAVAILABLE))
async def readyz(at: At) -> Ready:
    """Requests may be sent here: every store that is needed answers, and no shutdown has begun."""
    if at.draining:
        raise ApiError(DRAINING, "draining")
    health = await at.health()
    if health.hard:
        raise ApiError(UNAVAILABLE, f"unreachable: {', '.join(health.hard)}")
    return Ready(degraded=health.soft)


@router.get("/metrics", include_in_schema=False)
async def metrics(at: At) -> Response:
    """For Prometheus."""
    return Response(at.metrics.text(), media_type=CONTENT_TYPE_LATEST)
