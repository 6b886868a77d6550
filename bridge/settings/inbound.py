"""Who may call the bridge: BRIDGE_TOKENS."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.errors import InvalidValue, nearest
from bridge.settings.secret import Secret

SCOPES = ("send", "read", "templates", "operate")


@dataclass(frozen=True)
class InboundKey:
    """One entry of BRIDGE_TOKENS."""

    name: str
    secret: Secret
    scopes: frozenset[str]


def inbound_keys(text: str) -> tuple[InboundKey, ...]:
    """`name:secret[:scope+scope],…`. Errors: InvalidValue that names the entry, never its secret."""
    keys: list[InboundKey] = []
    for number, entry in enumerate(filter(None, (part.strip() for part in text.split(","))), 1):
        parts = entry.split(":")
        if len(parts) not in (2, 3) or not parts[0] or not parts[1]:
            raise InvalidValue(f"entry {number} is not name:secret or name:secret:scope+scope")
        name, secret = parts[:2]
        scopes = frozenset(parts[2].split("+")) if len(parts) == 3 else frozenset(SCOPES)
        for scope in sorted(scopes - set(SCOPES)):
            # What looks like no scope may be the rest of a secret with a colon, and is not shown.
            hint = nearest(scope, SCOPES, 1)
            told = (
                f"has the unknown scope {scope!r}; did you mean {hint[0]!r}?"
                if hint
                else "has an unknown scope"
            )
            raise InvalidValue(
                f"entry {number} ({name}) {told}" + ("" if hint else f"; there are {', '.join(SCOPES)}")
            )
        keys.append(InboundKey(name, Secret(secret), scopes))
    return tuple(keys)
