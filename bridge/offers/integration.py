"""What Rokt has to know of whoever asks for offers, where a request does not say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge import __version__

SERVER_SIDE: Mapping[str, str] = {
    "name": "Braze-Rokt bridge",
    "version": __version__,
    "framework": "Server",
    "platform": "Web",
    "layoutSchemaVersion": "2.1.0",  # the one of Rokt's own example
    "deviceLocale": "en-US",
    "deviceModel": "Server",
    "deviceType": "Desktop",
    "operatingSystem": "Linux",
    "operatingSystemVersion": "1.0",
    "packageName": "braze-rokt-bridge",
    "packageVersion": __version__,
}
"""Complete for a message that is rendered on a server, such as Braze's."""


def complete(given: Mapping[str, Any], configured: Mapping[str, Any]) -> dict[str, Any]:
    """The request's own fields; below them those of the environment, below them the bridge's."""
    return {**SERVER_SIDE, **configured, **given}
