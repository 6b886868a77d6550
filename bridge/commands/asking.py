"""How commands ask: the environment's settings, and the application itself as its operator."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from typing import Any


def read_settings(*, is_web: bool = False) -> Any:
    from bridge.settings import Settings

    return Settings.from_env(os.environ, is_web=is_web)


def call(method: str, path: str, query: dict[str, str], body: dict[str, str] | None = None) -> int:
    return show(*ask(method, path, query, body))


def ask(method: str, path: str, query: dict[str, str], body: dict[str, str] | None = None) -> tuple[int, Any]:
    """Ask the application itself, in this process, as its operator: the same answers as the API's."""
    from bridge import log
    from bridge.app import create_app
    from bridge.settings import InboundKey, Secret

    settings = read_settings()
    operator = InboundKey("command line", Secret(os.urandom(16).hex()), frozenset({"read", "operate"}))
    app = create_app(replace(settings, keys=(operator,)))
    if method == "GET":  # the answer says it all
        log.set_up(is_development=settings.is_development, least=logging.WARNING)
    headers = {"Authorization": f"Bearer {operator.secret.reveal()}"}
    asked = {name: value for name, value in query.items() if value}
    answer = app.test_client().open(path, method=method, query_string=asked, headers=headers, json=body)
    parts = app.extensions["bridge"]
    parts.inbox.close()
    parts.database.close()
    return answer.status_code, answer.get_json()


def show(status: int, answer: Any) -> int:
    # What a caller sent may hold half of a character, which no terminal can show.
    shown = json.dumps(answer, indent=2, ensure_ascii=False)
    print(shown.encode("utf-8", "replace").decode())
    return 0 if status < 400 else 1
