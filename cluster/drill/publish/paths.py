"""The little geometry that the plots need: scales, ticks, and SVG paths of steps."""

import math
from dataclasses import dataclass

import numpy as np

from cluster.drill.history import Flags
from cluster.drill.publish.series import Floats


@dataclass(frozen=True)
class Scale:
    """From a value to a coordinate; `log` for a logarithmic one, which needs values above 0."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The coordinate; a value outside is put to the nearer end."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(at)
        share = (at - low) / (high - low) if high > low else 0.0
        return self.start + share * (self.end - self.start)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round values from `low` to `high`, at most `most` of them."""
    raw = (high - low) / max(1, most)
    power = 10.0 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = math.ceil(low / step)
    return [n * step for n in range(first, math.floor(high / step) + 1)]


def number(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def steps(edges: Floats, lower: Floats, upper: Floats, x: Scale, y: Scale) -> str:
    """The areas between two step functions, where they differ."""
    return "".join(
        _area(edges, lower, upper, first, last, x, y) for first, last in _runs(upper > lower)
    )


def _area(
    edges: Floats, lower: Floats, upper: Floats, first: int, last: int, x: Scale, y: Scale
) -> str:
    """One of them, from bin `first` to before bin `last`."""
    there = [f"V{number(y(upper[n]))}H{number(x(edges[n + 1]))}" for n in range(first, last)]
    back = [f"V{number(y(lower[n]))}H{number(x(edges[n]))}" for n in reversed(range(first, last))]
    start = f"M{number(x(edges[first]))} {number(y(lower[first]))}"
    return start + "".join(there) + "".join(back) + "Z"


def line(edges: Floats, values: Floats, x: Scale, y: Scale) -> str:
    """A step line, broken where a value is NaN."""
    path = []
    for first, last in _runs(~np.isnan(values)):
        path.append(f"M{number(x(edges[first]))} {number(y(values[first]))}")
        path += [f"V{number(y(values[n]))}H{number(x(edges[n + 1]))}" for n in range(first, last)]
    return "".join(path)


def _runs(flags: Flags) -> list[tuple[int, int]]:
    """Where flags are true without a break: from, to before."""
    padded = np.concatenate(([False], flags, [False]))
    borders = np.flatnonzero(padded[1:] != padded[:-1]).tolist()
    return list(zip(borders[::2], borders[1::2], strict=True))
