"""The service payments."""

from skillswap_ops.services.base.app import Definition, Loop
from skillswap_ops.services.payments import routes

EXPIRE_SECONDS = 60

DEFINITION = Definition(
    name="payments",
    title="SkillSwap: payments and subscriptions",
    routers=(routes.router, routes.internal),
    needs=frozenset({"postgres"}),
    loops=(Loop("expire", EXPIRE_SECONDS, routes.expire),),
)
