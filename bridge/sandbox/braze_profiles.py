"""What stands in Braze: a profile for each user, changed by `POST /users/track` as Braze changes it."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

PROFILES_KEPT = 100_000
"""Those that were changed last: a benchmark must not fill the memory."""
EVENTS_KEPT = 100  # of each profile
ARRAY_LIMIT = 500
NOT_ATTRIBUTES = {"external_id", "user_alias", "braze_id", "email", "phone", "_update_existing_only"}

Thing = Mapping[str, Any]
Clock = Callable[[], datetime]
_Names = OrderedDict[str, "Profile"]


@dataclass(eq=False)
class Profile:
    """`attributes`: everything that is set beside the identifiers. `events`: the last, in order of arrival."""

    braze_id: str = field(default_factory=lambda: secrets.token_hex(12))
    external_id: str | None = None
    user_alias: dict[str, str] | None = None
    email: str | None = None
    phone: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    events: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))

    def shown(self) -> dict[str, Any]:
        shown = {name: value for name, value in vars(self).items() if value is not None}
        arrays = {k: list(v) if isinstance(v, list) else v for k, v in self.attributes.items()}
        return shown | {"attributes": arrays, "events": list(self.events)}


class Profiles:
    """`track` takes objects that Braze takes. `now`: an event of the future happens now, as Braze has it."""

    def __init__(self, now: Clock = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._all: _Names = OrderedDict()  # by braze_id; the last one changed stands last
            self._by: dict[str, _Names] = {}  # a name of a profile, see _names: the profiles that bear it

    def track(self, attributes: list[Thing], events: list[Thing], purchases: list[Thing]) -> None:
        """Attributes come before events, in whatever order they stand in the request."""
        with self._lock:
            for thing in attributes:
                if profile := self._profile(thing):
                    self._set(profile, thing)
            for thing in events:
                if profile := self._profile(thing):
                    profile.events.append(self._event(thing))
            for thing in purchases:
                self._profile(thing)

    def shown(self, last: int | None = None) -> list[dict[str, Any]]:
        """All profiles, or the `last` so many, the last one changed at the end."""
        with self._lock:
            return [one.shown() for one in islice(reversed(self._all.values()), last)][::-1]

    def _profile(self, thing: Thing) -> Profile | None:
        """Whom an object means: made if there is no such user, None where none is to be made."""
        name = _names(thing)[0]
        kind = name.partition(":")[0]
        bearers: _Names = self._by.get(name, OrderedDict())
        newest = list(reversed(bearers.values()))
        # Several have one address: the one changed last, before all of them one with an external_id.
        found = next(iter([one for one in newest if one.external_id] or newest), None)
        if found is None:
            if thing.get("_update_existing_only", kind == "user_alias") or kind == "braze_id":
                return None
            found = Profile(**{kind: thing[kind]})
        self._keep(found)
        return found

    def _keep(self, profile: Profile) -> None:
        """Put it last, under all of its names."""
        self._all[profile.braze_id] = profile
        self._all.move_to_end(profile.braze_id)
        for name in _names(vars(profile)):
            bearers = self._by.setdefault(name, OrderedDict())
            bearers[profile.braze_id] = profile
            bearers.move_to_end(profile.braze_id)
        while len(self._all) > PROFILES_KEPT:
            self._forget_names(self._all.popitem(last=False)[1])

    def _forget_names(self, profile: Profile) -> None:
        for name in _names(vars(profile)):
            del self._by[name][profile.braze_id]
            if not self._by[name]:
                del self._by[name]

    def _set(self, profile: Profile, thing: Thing) -> None:
        self._forget_names(profile)
        for name in ("email", "phone"):
            if name in thing:
                setattr(profile, name, thing[name])
        self._keep(profile)
        for name, value in thing.items():
            if name in NOT_ATTRIBUTES:
                continue
            new = changed(profile.attributes.get(name), value)
            if new is None:
                profile.attributes.pop(name, None)
            else:
                profile.attributes[name] = new

    def _event(self, thing: Thing) -> dict[str, Any]:
        at = datetime.fromisoformat(thing["time"])
        at, now = at if at.tzinfo else at.replace(tzinfo=UTC), self._now()
        time = thing["time"] if at <= now else now.isoformat(timespec="milliseconds")
        return {"name": thing["name"], "time": time, "properties": thing.get("properties", {})}


def changed(was: Any, value: Any) -> Any:
    """An attribute's new value, None for none.

    `add` comes before `remove`: a value in both is gone. A value that is there already moves to the end, and
    the oldest beyond the limit are dropped in between. What is no array stays as it is.
    """
    if isinstance(value, list):
        return _unique(value)
    if isinstance(value, Mapping) and value.keys() & {"add", "remove"}:
        if was is not None and not isinstance(was, list):
            return was
        grown = _unique([*(was or []), *value.get("add", [])])
        return [one for one in grown if one not in value.get("remove", [])] if grown else was
    return value


def _unique(values: list[Any]) -> list[Any]:
    """Each value where it stands last; the newest of them."""
    last = {repr(one): one for one in reversed(values)}  # an object in an array has no hash
    return list(last.values())[:ARRAY_LIMIT][::-1]


def _names(thing: Thing) -> list[str]:
    """By what a profile is found, the identifier that counts first; an address in any case of letters."""
    names = [f"{kind}:{thing[kind]}" for kind in ("external_id", "braze_id") if thing.get(kind)]
    if alias := thing.get("user_alias"):
        names.append(f"user_alias:{alias.get('alias_label')}\x1f{alias.get('alias_name')}")
    if email := thing.get("email"):
        names.append(f"email:{email.casefold()}")
    return names + ([f"phone:{thing['phone']}"] if thing.get("phone") else [])
