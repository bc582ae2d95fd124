"""Amounts as people read them: integers of minor units in, text out, no float between."""

from cluster.schema.payments import CURRENCIES

MINOR_DIGITS = dict.fromkeys(CURRENCIES, 2)  # ISO 4217: all that are accepted have cents


def money(minor: int, currency: str) -> str:
    """As "-1,234.05" for -123405 minor units. Raises KeyError for a currency of no declaration."""
    digits = MINOR_DIGITS[currency]
    whole, rest = divmod(abs(minor), 10**digits)
    return f"{'-' if minor < 0 else ''}{whole:,}.{rest:0{digits}}"
