"""What Rokt Calendar calls. It signs nothing, so the last part of the path is the secret."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from flask import Blueprint, Response, g, jsonify, request

from bridge.errors import NotConfigured, NotFound, Unauthorized
from bridge.routes import rokt_webhooks
from bridge.settings import Secret
from bridge.web import changes
from bridge.web.answered import note_accepted
from bridge.web.json_body import read_object
from bridge.web.outcome import digest, state_now
from bridge.web.parts import Parts

PATH = "/v1/rokt/webhooks"
ROUTE = "rokt.webhook"
KEY_NAME = "rokt"  # who sent it, where others have the name of their key


def blueprint(parts: Parts) -> Blueprint:
    webhooks = Blueprint("rokt_webhooks", __name__)
    secrets = parts.settings.subscribers.webhook_secrets

    @webhooks.before_request
    def check() -> None:
        rest: str = (request.view_args or {})["rest"]
        if rest and not rest.startswith("/"):
            raise NotFound("There is nothing at this path.")
        if not secrets:
            raise NotConfigured("Rokt's webhook is off: ROKT_WEBHOOK_SECRET is not set.")
        if not _is_one_of(rest.strip("/"), secrets):
            raise Unauthorized("The last part of this address is not as ROKT_WEBHOOK_SECRET says.")
        g.key_name = KEY_NAME

    @webhooks.post(f"{PATH}<rest:rest>")
    def take(rest: str) -> Response:
        """Rokt counts everything but a 2xx as failed, and reads nothing of the answer."""
        changes.check_configured(parts.settings)
        body, _ = read_object(request, is_lenient=True)
        webhook = rokt_webhooks.read(body)
        repeat = None
        if webhook.event_id and not (webhook.message and webhook.message.is_test):
            repeat = digest(ROUTE, webhook.event_type, webhook.event_id)
        messages = () if webhook.message is None else (webhook.message,)
        accepted = parts.inbox.accept(
            changes.request_of(parts, ROUTE, body, webhook.change, messages=messages, repeat_key=repeat)
        )
        note_accepted(accepted, left_out=webhook.faults)
        told = {"id": accepted.ids[0], "state": accepted.state, "request_id": g.request_id}
        if accepted.is_repeat:
            told |= {"state": state_now(parts, accepted), "is_repeat": True}
        return jsonify(told)

    return webhooks


def _is_one_of(given: str, secrets: Sequence[Secret]) -> bool:
    """All are compared, each in constant time."""
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(_hashed(given), _hashed(secret.reveal()))
    return found


def _hashed(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
