"""How a dry run shows a call: as it would leave, without Authorization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import g

from bridge import __version__


def shown(
    method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """`headers`: those of this upstream, beside what every call has."""
    sent = {"Accept": "application/json", "User-Agent": f"braze-rokt-bridge/{__version__}"}
    sent |= {**(headers or {}), "X-Request-Id": g.request_id}
    if body is not None:
        sent["Content-Type"] = "application/json"
    return {"method": method, "url": url, "headers": sent, "body": body}
