"""Who may do what in the console: a viewer reads, an editor writes drafts, a publisher lets them out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import g

from bridge.settings import ROLES

View = TypeVar("View", bound=Callable[..., Any])

EVERYBODY = ""  # in a role's place: nobody has to sign in
WHAT_FOR = {
    "viewer": "look at pages",
    "editor": "write drafts and send tests",
    "publisher": "publish, send again, cancel and recall",
}


@dataclass(frozen=True)
class Person:
    """Whoever is signed in; `by` is how: password, or the OpenID provider."""

    name: str
    role: str
    by: str = "password"

    def may(self, role: str) -> bool:
        return not role or ROLES.index(self.role) >= ROLES.index(role)


def needs(role: str) -> Callable[[View], View]:
    """Says who may call a view: a role, or EVERYBODY. The console does not start with a view that says nothing."""

    def mark(view: View) -> View:
        view.role_needed = role  # type: ignore[attr-defined]
        return view

    return mark


def role_needed(view: Any) -> str | None:
    """None: the view does not say."""
    role: str | None = getattr(view, "role_needed", None)
    return role


def person() -> Person:
    """Whoever is signed in, in a view that needs a role."""
    found: Person = g.person
    return found
