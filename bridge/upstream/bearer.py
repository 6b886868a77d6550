"""A key that is sent as it is with every call."""

from __future__ import annotations

from bridge.errors import InvalidValue


class Bearer:
    def __init__(self, key: str) -> None:
        if not key or not key.isascii() or not key.isprintable():
            raise InvalidValue("a key of printable ASCII")
        self._header = f"Bearer {key}"

    def __repr__(self) -> str:
        return "<Bearer>"

    def authorization(self, deadline: float) -> str:
        return self._header

    def refused(self, authorization: str) -> bool:
        """There is no other one to try."""
        return False

    def check(self, deadline: float) -> str:
        return "a key, which only a call can prove"
