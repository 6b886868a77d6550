"""The webhook to paste in Braze for a template: address, headers, and a body with the template's variables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

KEY = "YOUR-KEY"
# Where the values come from of which the template does not say it, by what sends the campaign.
PLACES: Mapping[str, tuple[str, str]] = {
    "event": ("event_properties", "properties of the custom event that triggers it"),
    "trigger": ("api_trigger_properties", "trigger properties of the API call"),
    "context": ("context", "the Canvas context"),
    "attribute": ("custom_attribute", "custom attributes of the user"),
    "here": ("", "written into the webhook, the same for everybody"),
}
ACTIONS = ("upsert", "update", "delete")

# What Braze itself knows of a user, by the names that templates may have for it.
_USERS: Mapping[str, str] = {
    **{
        name: name
        for name in (
            *("first_name", "last_name", "email_address", "phone_number", "language", "country", "city"),
            *("gender", "date_of_birth", "time_zone"),
        )
    },
    "email": "email_address",
    "phone": "phone_number",
    "timezone": "time_zone",
    "home_city": "city",
    "external_id": "user_id",
}
# A note of the first comment may name the place: (custom_attribute.${loyalty tier}).
_SOURCE = re.compile(r"(?:[a-z_]+\.)?\$\{[^{}\n]+\}(?:\.\w+|\[\d+\])*")
_COMMAS = re.compile(r"\bcommas\b")


@dataclass(frozen=True)
class BrazeWebhook:
    """`sources`: what stands for each variable. `to_adapt`: those of which nobody has said where Braze has them."""

    url: str
    headers: dict[str, str]
    body: str
    method: str = "POST"
    sources: dict[str, str] = field(default_factory=dict)
    to_adapt: tuple[str, ...] = ()


def webhook(
    name: str,
    variables: Sequence[Mapping[str, Any]],
    bridge_url: str,
    *,
    place: str = "event",
    action: str = "upsert",
    key: Sequence[str] = (),
    by_user: bool = False,
) -> BrazeWebhook:
    """`variables`: name, note, example, default as a template's shape has them. `key`: what the event_id needs.

    `by_user`: the bridge knows each user's subscriptions itself, from Rokt's webhook.
    """
    wanted = [one for one in variables if action != "delete" or one["name"] in key]
    lines, sources, to_adapt = [], {}, []
    for one in wanted:
        written, is_known = _value(one, place)
        sources[one["name"]] = written
        if not is_known:
            to_adapt.append(str(one["name"]))
        lines.append(f'    "{one["name"]}": "{written}"')
    values = "{\n" + ",\n".join(lines) + "\n  }" if lines else "{}"
    fields = [
        f'"template": "{name}"',
        f'"action": "{action}"',
        '"user_id": "{{user_id | json_escape}}"',
        *([] if by_user else ['"account_code": "{{account_codes | json_escape}}"']),
        *(
            []
            if by_user or action == "delete"
            else ['"subscription_ids": "{{subscription_ids | json_escape}}"']
        ),
        '"idempotency_key": "{{campaign.${message_api_id}}}-{{campaign.${dispatch_id}}}"',
        f'"variables": {values}',
    ]
    body = "\n".join(_begin(action, by_user=by_user)) + "\n{\n  " + ",\n  ".join(fields) + "\n}\n"
    return BrazeWebhook(
        url=f"{bridge_url.rstrip('/')}/v1/calendar/events",
        headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
        body=body,
        sources=sources,
        to_adapt=tuple(to_adapt),
    )


def _begin(action: str, *, by_user: bool) -> list[str]:
    """The lines that stop a message nobody could get."""
    assigns = ["{% assign user_id = {{${user_id}}} | default: '' %}"]
    stops = ["{% if user_id == blank %}{% abort_message('no external_id') %}{% endif %}"]
    if not by_user and action != "delete":
        assigns.append(
            "{% assign subscription_ids = {{custom_attribute.${rokt:subscription_id}}} | default: '' | join: ',' %}"
        )
        stops.append(
            "{% if subscription_ids == blank %}{% abort_message('no Rokt Calendar subscription') %}{% endif %}"
        )
    if not by_user:
        assigns.append(
            "{% assign account_codes = {{custom_attribute.${rokt:account_code}}} | default: '' | join: ',' %}"
        )
        stops.append("{% if account_codes == blank %}{% abort_message('no rokt:account_code') %}{% endif %}")
    return assigns + stops


def _value(variable: Mapping[str, Any], place: str) -> tuple[str, bool]:
    """(what stands between the quotes, whether that is known to be right)."""
    note = str(variable.get("note") or "")
    if found := _SOURCE.search(note):
        is_list = _COMMAS.search(note) is not None
        return _escaped(found[0], is_list=is_list), True
    name = str(variable["name"])
    if standard := _USERS.get(name):
        return _escaped(f"${{{standard}}}"), True
    root, _ = PLACES[place]
    if root:
        return _escaped(f"{root}.${{{name}}}"), False
    return _in_json(str(variable.get("example") or variable.get("default") or "")), False


def _escaped(source: str, *, is_list: bool = False) -> str:
    joined = " | join: ','" if is_list else ""
    return f"{{{{{source}{joined} | json_escape}}}}"


def _in_json(text: str) -> str:
    """A text as it stands between JSON's quotes, and means nothing to Liquid."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return plain.replace("{{", "{ {").replace("{%", "{ %")
