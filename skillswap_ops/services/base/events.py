"""What people did, told to gamification where it is deployed. It costs no request to lose one."""

from skillswap_ops.services.base.logs import logger
from skillswap_ops.services.base.models import derived
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import Runtime

SERVICE = "gamification"


async def emit(at: Runtime, what: str, user: str, origin: str) -> None:
    """Tell that a user did `what`, once for each `origin`."""
    if SERVICE not in at.settings.upstreams:
        return
    own_id = derived("evenement", what, user, origin)
    body = {"id_utilisateur": user, "type": what}
    try:
        await at.upstreams.call(SERVICE, "PUT", f"/internal/events/{own_id}", body=body)
    except ApiError as error:
        logger().warning("event not told", what=what, why=str(error))
