"""Pulumi's engine, driven from here: what would change, change it, take it away.

The engine is a program of its own. State lies in the cluster's folder, or where PULUMI_BACKEND_URL
or `--state` says; what is secret in it is encrypted with a passphrase from the secret store.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pulumi import automation
from pulumi.automation import errors
from pydantic import SecretStr

from cluster.errors import BusyError, MissingPrerequisiteError, OpsError
from manifests.pulumi.changes import Change, Verb, change_of, failure_of

PROJECT = "skillswap-ops"
GET_IT = (
    "get it from https://www.pulumi.com/docs/install/ (one program, no account is needed), "
    "or use `render` and apply its files"
)

OnChange = Callable[[Change], None]


class NoEngineError(MissingPrerequisiteError):
    """Pulumi's command line is not on this machine."""

    exit_code = 2


@dataclass(frozen=True)
class Backend:
    """Where state is kept, and what encrypts its secrets."""

    url: str
    passphrase: SecretStr


class Engine:
    """A stack: the objects of one cluster as they were last made."""

    def __init__(self, name: str, backend: Backend, program: Callable[[], None]) -> None:
        """Raises NoEngineError where there is no Pulumi, OpsError where it refuses the state."""
        require_engine()
        self.backend = backend
        options = automation.LocalWorkspaceOptions(
            env_vars={
                "PULUMI_BACKEND_URL": backend.url,
                "PULUMI_CONFIG_PASSPHRASE": backend.passphrase.get_secret_value(),
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                # As the program asks for; providers before that option know only this.
                "PULUMI_K8S_ENABLE_PATCH_FORCE": "true",
            }
        )
        _make_folder(backend.url)
        try:
            self._stack = automation.create_or_select_stack(
                name, project_name=PROJECT, program=program, opts=options
            )
        except automation.CommandError as error:
            raise _told(error) from error

    def preview(self) -> tuple[Change, ...]:
        """What would change, in the cluster as it is now: drift is in it."""
        seen: dict[str, Change] = {}

        def take(event: automation.EngineEvent) -> None:
            if found := change_of(event):
                seen[found.urn] = found

        self._run(lambda: self._stack.preview(refresh=True, diff=True, on_event=take))
        return tuple(seen.values())

    def up(self, on_change: OnChange) -> tuple[Change, ...]:
        """Make it so. Raises OpsError that names what failed."""
        return self._act(lambda take: self._stack.up(refresh=True, on_event=take), on_change)

    def destroy(self, on_change: OnChange) -> tuple[Change, ...]:
        """Take everything away, what is protected too: whoever calls has asked."""
        self._run(self._unprotect)
        return self._act(lambda take: self._stack.destroy(on_event=take, remove=True), on_change)

    def _unprotect(self) -> None:
        command = ["state", "unprotect", "--all", "--yes", "--stack", self._stack.name]
        workspace = self._stack.workspace
        workspace.pulumi_command.run(
            command, workspace.work_dir, dict(workspace.env_vars), on_output=None
        )

    def _act(
        self, run: Callable[[Callable[[automation.EngineEvent], None]], object], on_change: OnChange
    ) -> tuple[Change, ...]:
        seen: dict[str, Change] = {}
        failures: list[str] = []

        def take(event: automation.EngineEvent) -> None:
            if failed := failure_of(event):
                failures.append(failed)
            if found := change_of(event):
                seen[found.urn] = found
                on_change(found)

        try:
            run(take)
        except automation.CommandError as error:
            raise _told(error, failures) from error
        return tuple(seen.values())

    def _run(self, call: Callable[[], object]) -> None:
        try:
            call()
        except automation.CommandError as error:
            raise _told(error) from error


def local_backend(folder: Path) -> str:
    """State in a folder of the cluster's own."""
    return f"file://{folder}"


def _make_folder(url: str) -> None:
    if url.startswith("file:///"):
        Path(url.removeprefix("file://")).mkdir(mode=0o700, parents=True, exist_ok=True)


def require_engine() -> None:
    """Raises NoEngineError where there is no Pulumi."""
    if shutil.which("pulumi") is None:
        raise NoEngineError("the Pulumi engine (`pulumi`) is not on this machine", GET_IT)


def _told(error: Exception, failures: list[str] | None = None) -> OpsError:
    """What the engine said, without its command line."""
    if isinstance(error, errors.ConcurrentUpdateError):
        return BusyError(
            "another run works on this stack",
            "wait for it; after a crash: `pulumi cancel` in the state's backend",
        )
    lines = failures or [line for line in str(error).splitlines() if "error:" in line]
    return OpsError("Pulumi failed: " + ("\n".join(lines[:10]) or str(error).strip()[-500:]))


__all__ = ["Backend", "Change", "Engine", "NoEngineError", "Verb", "local_backend"]
