"""HTTP Basic: a name and a secret that are sent as they are with every call."""

from __future__ import annotations

from base64 import b64encode

from bridge.errors import InvalidValue


class Basic:
    def __init__(self, user: str, password: str) -> None:
        for text in (user, password):
            if not text or not text.isascii() or not text.isprintable():
                raise InvalidValue("a name and a secret of printable ASCII")
        if ":" in user:
            raise InvalidValue("a name without a colon, which would end it (RFC 7617)")
        self._header = "Basic " + b64encode(f"{user}:{password}".encode()).decode()

    def __repr__(self) -> str:
        return "<Basic>"

    def authorization(self, deadline: float) -> str:
        return self._header

    def refused(self, authorization: str) -> bool:
        """There is no other one to try."""
        return False

    def check(self, deadline: float) -> str:
        return "a name and a secret, which only a call can prove"
