"""Who may sign in to the console: passwords, and an OpenID provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.errors import InvalidValue
from bridge.settings.secret import Secret, api_key, header
from bridge.settings.variables import Variables

ROLES = ("viewer", "editor", "publisher")  # of the console's people; each may what the one before it may
ISSUER = "https://login.example.com"  # to show what is meant


@dataclass(frozen=True)
class ConsoleUser:
    """One entry of CONSOLE_USERS."""

    name: str
    password_hash: Secret
    role: str


@dataclass(frozen=True)
class OidcSettings:
    """An OpenID provider that says who somebody is. `issuer`: as it stands in its tokens, but for a last slash.

    `roles`: by address or group, "*" for everybody else; who has none does not come in.
    """

    issuer: str
    client_id: str
    client_secret: Secret
    roles: Mapping[str, str] = field(repr=False)  # it holds addresses


@dataclass(frozen=True)
class ConsoleSettings:
    """Who may sign in to the console; it is off if nobody may."""

    users: tuple[ConsoleUser, ...] = ()
    oidc: OidcSettings | None = None

    @property
    def is_on(self) -> bool:
        return bool(self.users or self.oidc)


def console(variables: Variables) -> ConsoleSettings:
    names = ("OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET")
    variables.together(*names)
    read = variables.read
    oidc = OidcSettings(
        issuer=variables.address("OIDC_ISSUER", ISSUER),
        client_id=read("OIDC_CLIENT_ID", "", header),
        client_secret=read("OIDC_CLIENT_SECRET", "", api_key),
        roles=read("OIDC_ROLES", f"*:{ROLES[0]}", oidc_roles),
    )
    users = read("CONSOLE_USERS", "", console_users) or ()
    # One that is half set counts, so that what else it needs is told with what it lacks.
    return ConsoleSettings(users, oidc if any(map(variables.text, names)) else None)


def console_users(text: str) -> tuple[ConsoleUser, ...]:
    """`name:password-hash[:role],…`. Errors: InvalidValue that names the entry, never its password or hash."""
    users: list[ConsoleUser] = []
    for number, entry in enumerate(filter(None, (part.strip() for part in text.split(","))), 1):
        name, _, rest = entry.partition(":")
        told = f"entry {number}" + (f" ({name})" if rest and name else "")
        match = re.fullmatch(r"(scrypt:[0-9:]{5,20}\$[A-Za-z0-9]{8,64}\$[0-9a-f]{128})(?::(.*))?", rest)
        if not name or not match:
            raise InvalidValue(
                f"{told} is not name:password-hash or name:password-hash:role; `python -m bridge hash-password` "
                "makes the hash, which holds $ and so needs single quotes in a shell"
            )
        role = match[2] or ROLES[-1]
        if role not in ROLES:
            raise InvalidValue(f"{told} has the unknown role {role[:20]!r}; there are {', '.join(ROLES)}")
        if name in (user.name for user in users):
            raise InvalidValue(f"{told} has a name that another entry has already")
        users.append(ConsoleUser(name, Secret(match[1]), role))
    return tuple(users)


def oidc_roles(text: str) -> Mapping[str, str]:
    """`address-or-group:role,…`, with * for everybody else. Errors: InvalidValue."""
    roles: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        who, _, role = (part.strip() for part in entry.rpartition(":"))
        if not who or role not in ROLES:
            raise InvalidValue(
                f"has {entry[:60]!r}, which is not somebody:role such as ada@example.com:publisher, "
                f"marketing:editor or *:viewer; there are {', '.join(ROLES)}"
            )
        roles[who] = role
    return roles
