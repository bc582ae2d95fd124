"""What is kept of the cluster itself while a run goes on: configuration and logs."""

from collections.abc import Callable
from pathlib import Path

from cluster.drill.contracts import Drill
from cluster.drill.events import Happening, Note
from cluster.drill.publish import configuration
from cluster.drill.publish.logs import LogWatch
from cluster.drill.publish.mask import Mask


class Keeper:
    """Keeps the effective configuration, before and after, and what the servers logged.

    It explains a verdict and decides none: what cannot be kept is told as a note.
    """

    def __init__(
        self, drill: Drill, folder: Path, mask: Mask, tell: Callable[[Happening], None]
    ) -> None:
        self._drill, self._folder, self._mask, self._tell = drill, folder, mask, tell
        self._logs = LogWatch(drill.logs)

    def began(self) -> None:
        """The run begins on a healthy cluster."""
        self._logs.began()
        self._configuration("before")

    def fault(self) -> None:
        """A fault comes."""
        self._logs.fault()

    def ended(self) -> None:
        """The cluster is whole again, or will not be."""
        try:
            self._logs.keep(self._folder, self._mask)
        except OSError as error:
            self._tell(Note(text=f"logs not kept: {error}"))
        self._configuration("after")

    def _configuration(self, when: configuration.When) -> None:
        try:
            configuration.keep(self._folder, when, self._drill.configuration(), self._mask)
        except Exception as error:  # noqa: BLE001 - an engine's or the disk's: the run goes on
            text = f"configuration {when} the fault not kept: {type(error).__name__}: {error}"
            self._tell(Note(text=text))
