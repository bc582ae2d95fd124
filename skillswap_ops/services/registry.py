"""Which services there are. A definition is imported when it is asked for, with its drivers."""

from importlib import import_module

from skillswap_ops.services.base.app import Definition

_MODULES = {
    "gateway": "gateway.service",
    "auth": "auth.service",
    "skills": "skills.service",
    "sessions": "sessions.service",
    "chat": "chat.service",
    "reviews": "reviews.service",
    "notifications": "notifications.service",
    "admin": "admin.service",
    "payments": "payments.service",
    "files": "files.service",
    "groups": "groups.service",
    "gamification": "gamification.service",
    "ai": "ai.service",
    "virtual-classroom": "virtual_classroom.service",
}
NAMES = tuple(_MODULES)


def definition(name: str) -> Definition:
    """The service of that name. Raises KeyError."""
    module = import_module(f"skillswap_ops.services.{_MODULES[name]}")
    found: Definition = module.DEFINITION
    return found
