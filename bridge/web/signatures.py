"""What is signed here and comes back: tokens and sessions, on machines whose clocks need not agree."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import SignatureExpired, TimestampSigner, URLSafeTimedSerializer

AHEAD = 3600  # seconds


class Signer(TimestampSigner):
    """Takes what was signed by a machine whose clock is ahead, or by this one before its clock was set back.

    Otherwise a second between two machines is a second in which a good token is refused.
    """

    def unsign(
        self, signed_value: str | bytes, max_age: int | None = None, return_timestamp: bool = False
    ) -> Any:
        """Errors: BadSignature."""
        value, signed_at = super().unsign(signed_value, return_timestamp=True)
        age = self.get_timestamp() - signed_at.timestamp()
        if max_age is not None and not -AHEAD <= age <= max_age:
            raise SignatureExpired("too old", payload=value, date_signed=signed_at)
        return (value, signed_at) if return_timestamp else value


class SignedCookies(SecureCookieSessionInterface):
    """Flask's own sessions, with this signer."""

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        serializer = super().get_signing_serializer(app)
        if serializer is not None:
            serializer.signer = Signer
        return serializer
