"""Predictions by simulation: what is left to chance is drawn many times, and the range is read off.

Pure. An engine models each phase of a recovery as an array of draws, seconds, and adds them up;
the sum of the worst cases would be a range that no run ever reaches the end of.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cluster.drill.contracts import Prediction, Range

DRAWS = 20_000
SEED = 2023  # any: the same configuration must give the same prediction every time
PERCENTILES = (1, 50, 99)
DIGITS = 3  # milliseconds: nothing here is known any better

# A stamp counts from the fault's proof, which comes this long after the fault (seconds): processes
# are gone, or a packet is. And it is seen by an observer that looks every 0.1 s.
PROOF = (0.05, 0.6)
LOOK = (0.0, 0.2)
SLOW_LOOK = (0.0, 1.2)  # the same of members that are asked, and say nothing for a second

Samples = npt.NDArray[np.float64]


class Chance:
    """A seeded source of draws. Every call is independent of the ones before."""

    def __init__(self, draws: int = DRAWS, seed: int = SEED) -> None:
        self.draws = draws
        self._generator = np.random.default_rng(seed)

    def between(self, low: float, high: float) -> Samples:
        """Anything from `low` to `high`, all of it as likely."""
        return self._generator.uniform(low, high, self.draws)

    def mostly(self, low: float, high: float) -> Samples:
        """Mostly near `low`, at times up to `high`: work that a busy machine draws out."""
        return low + (high - low) * np.square(self.between(0.0, 1.0))

    def phase(self, period: float) -> Samples:
        """How long until something that happens every `period` seconds happens next."""
        return self.between(0.0, period)

    def soonest(self, low: float, high: float, of: int) -> Samples:
        """The first of several independent ones."""
        first: Samples = np.min(self._several(low, high, of), axis=0)
        return first

    def latest(self, low: float, high: float, of: int) -> Samples:
        """The last of several independent ones."""
        last: Samples = np.max(self._several(low, high, of), axis=0)
        return last

    def stuck(self, seconds: float) -> Samples:
        """How long the writers are busy with what hung before service came back: at most their own
        deadline. In half of the runs that were looked at one was free at once.
        """
        return np.where(self.between(0, 1) < 1 / 2, 0.0, self.between(0, seconds))

    def _several(self, low: float, high: float, of: int) -> Samples:
        return self._generator.uniform(low, high, (max(1, of), self.draws))


@dataclass(frozen=True, eq=False)
class Simulation:
    """The four stamps as they came out, one draw a column; None for a stamp that has no meaning.

    Seconds from the proved injection: what came before it, while the fault was being proved, is 0.
    """

    detected: Samples | None = None
    elected: Samples | None = None
    first_success: Samples | None = None
    sustained: Samples | None = None
    basis: str = ""

    @property
    def prediction(self) -> Prediction:
        """The range of each stamp."""
        return Prediction(
            detected=spread(self.detected),
            elected=spread(self.elected),
            first_success=spread(self.first_success),
            sustained=spread(self.sustained),
            basis=self.basis,
        )

    def risk(self, seconds: float) -> float | None:
        """How likely service is back for good only after `seconds`; None where none is foretold."""
        return exceeding(self.sustained, seconds)

    def election_risk(self, seconds: float) -> float | None:
        """How likely another leader is there only after `seconds`; None where none is foretold."""
        return exceeding(self.elected, seconds)


def spread(samples: Samples | None) -> Range | None:
    """From the 1st to the 99th percentile: two runs of a hundred may lie outside."""
    if samples is None or not samples.size:
        return None
    shown = np.maximum(samples, 0.0)
    low, median, high = (round(float(each), DIGITS) for each in np.percentile(shown, PERCENTILES))
    return Range(low, high, median)


def exceeding(samples: Samples | None, seconds: float) -> float | None:
    """The share of the draws that is longer than `seconds`, 0 to 1."""
    return None if samples is None else float(np.mean(samples > seconds))
