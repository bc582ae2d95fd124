"""The service auth."""

from skillswap_ops.services.auth import internal, removal, routes
from skillswap_ops.services.base.app import Definition, Loop

REMOVAL_SECONDS = 5

DEFINITION = Definition(
    name="auth",
    title="SkillSwap: authentication and users",
    routers=(routes.auth, routes.users, internal.router),
    needs=frozenset({"mongo"}),
    loops=(Loop("removal", REMOVAL_SECONDS, removal.go_on),),
)
