"""A request for offers, from the bridge's own form, from an address, or as Rokt itself takes it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.errors import nearest
from bridge.offers.codes import PARTNER, PAYLOAD, Fault, RequestRefused, no_page, not_provided
from bridge.offers.integration import complete
from bridge.settings import INTEGRATION

FIELDS = ("pageIdentifier", "attributes", "integration", "sessionId", "transaction_id", "user_id")
INTEGRATION_FIELDS = (*INTEGRATION, "metadata")
IN_ADDRESS = ("page", "user_id", "transaction_id")
EMAILS = {"email", "emailsha256"}  # attributes that say whom an answer is for
MOST_NAMED = 12  # wrong names in one answer, which a person reads
_TAG = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class OfferRequest:
    """Whole, as it can leave. `user_id` and `transaction_id` do not leave: they say whom an answer is kept for."""

    tag_id: str
    page: str
    integration: Mapping[str, Any]
    attributes: Mapping[str, str] = field(default_factory=dict, repr=False)
    session_id: str = field(default="", repr=False)
    user_id: str = field(default="", repr=False)
    transaction_id: str = field(default="", repr=False)

    def body(self) -> dict[str, Any]:
        """What Rokt takes."""
        session = {"sessionId": self.session_id} if self.session_id else {}
        return {
            **session,
            "pageIdentifier": self.page,
            "attributes": dict(self.attributes),
            "integration": dict(self.integration),
        }

    def key(self) -> bytes | None:
        """Which requests have the same answer; None: nobody knows whom this one is for.

        A digest, so that nothing personal is kept. Without the integration's metadata, such as whether a device is
        being charged, and without the session, which the first answer of a transaction brings.
        """
        knows_whom = any(self.attributes[name] for name in self.attributes if name.lower() in EMAILS)
        if not (self.user_id or self.transaction_id or knows_whom):
            return None
        integration = {name: self.integration[name] for name in INTEGRATION}
        told = [self.tag_id, self.page, self.transaction_id, self.user_id, integration, self.attributes]
        return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=16).digest()


def read(
    body: Mapping[str, Any], tag_id: str | None, ours: str, configured: Mapping[str, Any]
) -> OfferRequest:
    """The bridge's own form, forgiving: blanks are as good as absent, numbers become texts.

    `tag_id`: the caller's own, `ours` otherwise. Errors: RequestRefused with all that is wrong.
    """
    faults = _unknown(body, FIELDS, "")
    texts = {
        name: _text(body.get(name), name, faults)
        for name in ("pageIdentifier", "sessionId", "transaction_id", "user_id")
    }
    attributes = _map(body.get("attributes"), "attributes", faults)
    integration = complete(_integration(body.get("integration"), faults), configured)
    if not texts["pageIdentifier"] and not any(one.field == "pageIdentifier" for one in faults):
        faults.append(no_page())
    faults += [not_provided(name) for name in INTEGRATION if not integration.get(name)]
    faults += tag_faults(tag_id)
    if faults:
        raise RequestRefused(faults)
    return OfferRequest(
        tag_id=ours if tag_id is None else tag_id.strip(),
        page=texts["pageIdentifier"],
        integration=integration,
        attributes=attributes,
        session_id=texts["sessionId"],
        user_id=texts["user_id"],
        transaction_id=texts["transaction_id"],
    )


def read_address(
    query: Mapping[str, str], tag_id: str | None, ours: str, configured: Mapping[str, Any]
) -> OfferRequest:
    """What a GET asks for. Addresses are logged everywhere, so nothing personal may stand in one.

    Errors: RequestRefused, which repeats no value.
    """
    faults = [
        Fault(
            PAYLOAD,
            name[:60],
            "is not known here; what Rokt is to know of the user goes into the body of a POST",
        )
        for name in list(query)[:MOST_NAMED]
        if name not in IN_ADDRESS
    ]
    faults += [
        Fault(PAYLOAD, name, "looks like an e-mail address, which must not stand in a URL: send a POST")
        for name in IN_ADDRESS
        if "@" in query.get(name, "") or "%40" in query.get(name, "")
    ]
    page = query.get("page", "").strip()
    faults += [] if page else [no_page("page")]
    if faults := [*faults, *tag_faults(tag_id)]:
        raise RequestRefused(faults)
    body = {name: query.get(name) for name in ("user_id", "transaction_id")}
    return read({"pageIdentifier": page, **body}, tag_id, ours, configured)


def faults_of(body: object, tag_id: str | None) -> list[Fault]:
    """What Rokt's document refuses in its own form, which is strict: nothing is laid under, nothing converted."""
    malformed = [Fault(PAYLOAD, "", "the body is not of the form that Rokt takes")]
    if not isinstance(body, dict):
        return malformed
    integration = body.get("integration")
    attributes = body.get("attributes")
    fields = {} if integration is None else integration
    is_right = (
        isinstance(fields, dict)
        and all(_is_text(fields.get(name)) for name in INTEGRATION)
        and _is_map(fields.get("metadata", {}))
        and attributes is not None
        and _is_map(attributes)
        and _is_text(body.get("pageIdentifier"))
        and _is_text(body.get("sessionId"))
    )
    if not is_right:
        return malformed
    faults = [not_provided(name) for name in INTEGRATION if not (fields.get(name) or "").strip()]
    faults += [] if (body.get("pageIdentifier") or "").strip() else [no_page()]
    return faults + tag_faults(tag_id)


def tag_faults(tag_id: str | None) -> list[Fault]:
    """Of a header that was sent; without one the bridge's own is used."""
    if tag_id is None or _TAG.fullmatch(tag_id.strip()):
        return []
    return [Fault(PARTNER, "rokt-tag-id", "is blank or no tag id such as 1234567890")]


def _text(given: object, name: str, faults: list[Fault]) -> str:
    """A text, "" for a missing one."""
    if isinstance(given, bool):
        return str(given).lower()
    if given is None or isinstance(given, str | int | float):
        text = "" if given is None else str(given).strip()
        if "{{" in text or "{%" in text:
            faults.append(Fault(PAYLOAD, name, "holds Liquid that was not rendered"))
        return text
    faults.append(Fault(PAYLOAD, name, "must be one text in quotes"))
    return ""


def _map(given: object, name: str, faults: list[Fault]) -> dict[str, str]:
    """Without what is blank: Liquid makes that of what a user has not."""
    if given is None or (isinstance(given, str) and not given.strip()):
        return {}
    if not isinstance(given, dict):
        faults.append(Fault(PAYLOAD, name, "must be an object in braces"))
        return {}
    texts = {key: _text(value, f"{name}.{key[:60]}", faults) for key, value in given.items()}
    return {key: text for key, text in texts.items() if text}


def _integration(given: object, faults: list[Fault]) -> dict[str, Any]:
    if given is None or (isinstance(given, str) and not given.strip()):
        return {}
    if not isinstance(given, dict):
        faults.append(Fault(PAYLOAD, "integration", "must be an object in braces"))
        return {}
    faults += _unknown(given, INTEGRATION_FIELDS, "integration.")
    found: dict[str, Any] = {
        name: text for name in INTEGRATION if (text := _text(given.get(name), f"integration.{name}", faults))
    }
    if metadata := _map(given.get("metadata"), "integration.metadata", faults):
        found["metadata"] = metadata
    return found


def _unknown(given: Mapping[str, Any], known: Sequence[str], within: str) -> list[Fault]:
    faults = []
    for name in [one for one in given if one not in known][:MOST_NAMED]:
        near = nearest(name[:60], known, 1)
        meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        faults.append(Fault(PAYLOAD, within + name[:60], f"is not known; {meant}"))
    return faults


def _is_text(value: object) -> bool:
    """null is as good as absent."""
    return value is None or isinstance(value, str)


def _is_map(value: object) -> bool:
    return value is None or (isinstance(value, dict) and all(isinstance(one, str) for one in value.values()))
