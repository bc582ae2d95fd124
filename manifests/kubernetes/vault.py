"""Which passwords objects need: asked for by name, and taken down.

Engines ask a `SecretStore` while they render. Where passwords are generated the store is the
cluster's own; where they stay in a vault, every one is a placeholder that the External Secrets
operator fills in.
"""

from collections.abc import Callable
from typing import TypeAlias

from pydantic import SecretStr

from cluster.secrets import SecretStore

# A placeholder stands where a password will: as long as the longest that is checked for its length
# (a signing key, RFC 7518 §3.2), blanks being nothing to the operator's templates.
LENGTH = 48


Get: TypeAlias = Callable[[str], SecretStr]


class Recorded(SecretStore):
    """Remembers which secrets were asked for."""

    def __init__(self, get: Get, key: Get, find: Callable[[str], SecretStr | None]) -> None:
        self._get_secret, self._get_key, self._find = get, key, find
        self.names: set[str] = set()

    def get(self, name: str) -> SecretStr:
        """The secret of that name."""
        self.names.add(name)
        return self._get_secret(name)

    def find(self, name: str) -> SecretStr | None:
        """The secret of that name; None where none was ever made, or asked for."""
        if name in self.names:
            return self._get_secret(name)
        found = self._find(name)
        if found is not None:
            self.names.add(name)
        return found

    def key(self, name: str) -> SecretStr:
        """The shared key of that name."""
        self.names.add(name)
        return self._get_key(name)

    def next(self, name: str) -> SecretStr | None:  # noqa: ARG002 - nothing is rotated there
        """None: what objects are rendered from stands still."""
        return None

    def kept(self, prefix: str = "") -> tuple[str, ...]:
        """Those that were asked for."""
        return tuple(sorted(name for name in self.names if name.startswith(prefix)))

    def masked(self, text: str) -> str:
        """The text with names in place of secrets: the same, whatever they are."""
        for name in sorted(self.names):
            text = text.replace(self._get_secret(name).get_secret_value(), f"<{name}>")
        return text

    def known(self) -> tuple[SecretStr, ...]:
        """Every secret that was asked for."""
        return tuple(self._get_secret(name) for name in sorted(self.names))


def generated(store: SecretStore) -> Recorded:
    """The cluster's own secrets, made on first use."""
    return Recorded(store.get, store.key, store.find)


def placeholders() -> Recorded:
    """The operator's placeholders."""
    return Recorded(_placeholder, _placeholder, lambda _: None)


def field_name(secret: str) -> str:
    """A secret's name as a field of a template."""
    return secret.replace("-", "_")


def _placeholder(name: str) -> SecretStr:
    return SecretStr("{{ ." + field_name(name).ljust(LENGTH - len("{{ . }}")) + " }}")
