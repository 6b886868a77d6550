"""The one request that every measure sends, numbered: a Braze webhook that a template renders."""

from __future__ import annotations

import json

KEY = "bench-key"
PATH = "/v1/calendar/events"
MARK = b"u-"  # what stands before the number in all that is sent, and in all that leaves

_BODY = {
    "template": "flash_sale",
    "user_id": "u-%(n)012d",
    "account_code": ["brazetest/f5733866ade2"],
    "subscription_ids": ["06423672-b6ba-4536-aa36-%(n)012d"],
    "idempotency_key": "bench-%(n)012d",
    "variables": {"sale_id": "winter27", "starts": "2027-12-03T09:00", "first_name": "Ada", "discount": "50"},
}
_TEXT = json.dumps(_BODY).encode()


def body(number: int) -> bytes:
    return _TEXT % {b"n": number}


_REQUEST = (
    f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
    f"Content-Type: application/json\r\nContent-Length: {len(body(0))}\r\n\r\n"
).encode() + _TEXT


def request(number: int) -> bytes:
    """The whole HTTP request; all are equally long."""
    return _REQUEST % {b"n": number}
