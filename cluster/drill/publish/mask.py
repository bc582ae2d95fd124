"""No password in evidence: whatever holds one is masked before it is written."""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = "***"
SHORT = 6  # a secret of fewer characters is masked only where it stands alone
NOT_SHOWN = (  # of accounts that we do not know
    (re.compile(rb"(SCRAM-SHA-\d+\$\d+:)[^\s'\"]+"), rb"\1***"),
    (re.compile(rb"(\b[a-z][a-z0-9+.-]*://[^\s/@:'\"]*:)[^\s/@'\"]+(?=@)"), rb"\1***"),
)


class Mask:
    """Hides the given secrets, as they are and as programs encode them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        # The longest first, for one form may be part of another.
        self._known = [re.compile(form) for form in sorted(forms, key=lambda one: (-len(one), one))]

    def data(self, data: bytes) -> bytes:
        """The same bytes without a secret."""
        for pattern in self._known:
            data = pattern.sub(MASK.encode(), data)
        for pattern, masked in NOT_SHOWN:
            data = pattern.sub(masked, data)
        return data

    def text(self, text: str) -> str:
        """The same text without a secret."""
        return self.data(text.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")


UNMASKED = Mask()  # knows no secret


def _forms(secret: str) -> Iterator[bytes]:
    """Patterns of a secret as it may be written in a log, a URL, JSON, HTML or a header."""
    if len(secret) < SHORT:
        yield rb"(?<![A-Za-z0-9])" + re.escape(secret.encode()) + rb"(?![A-Za-z0-9])"
        return
    plain = {
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        html.escape(secret),
        repr(secret)[1:-1],
    }
    yield from (re.escape(form.encode()) for form in plain)
    yield from (re.escape(form) for form in _base64(secret.encode()))


def _base64(secret: bytes) -> Iterator[bytes]:
    """Its base64 wherever it begins in a longer text (`user:password` of a header).

    Of the characters at both ends some bits are the neighbours': those are left out.
    """
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + secret)
        first = (0, 2, 3)[before]
        whole = (before + len(secret)) * 8 // 6
        core = encoded[first:whole]
        yield core
        yield core.translate(bytes.maketrans(b"+/", b"-_"))
