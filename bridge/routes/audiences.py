"""POST /v1/audiences: people put on a custom audience of Rokt or taken off it, checked field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from bridge import hashing
from bridge.audiences.change import ACTIONS, DEFAULT_LIST, Action, AudienceChange, changes_of
from bridge.calendar.event import json_type
from bridge.errors import InvalidPayload, InvalidValue, NotFound
from bridge.message import NewMessage
from bridge.routes import incoming
from bridge.routes.incoming import MOST_NAMED, Reader, a_text, identifier, is_test, meant, shown

NAME = "audiences"
DESTINATION = "rokt_audiences"
MOST_NAME = 255  # characters of a list's name
ONE, MANY = ("email", "sha256"), ("emails", "sha256s")
FIELDS = ("email", "emails", "sha256", "sha256s")
KEYS = ("action", "list", *FIELDS, "hash", "idempotency_key", "dispatch_id")
KEYS_OF_MANY = ("updates", "list", "idempotency_key", "dispatch_id")
YES_NO = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "": False}

NO_ADDRESS = "is no e-mail address such as ada@example.com"
NO_HASH = "is no SHA-256 of 64 hex digits"
NOT_HASHED = 'is an address and no SHA-256 of one: give it as email, or say "hash": true'
BLANK = "is blank: this user has no {{${email_address}}}"


@dataclass(frozen=True)
class AudienceUpdate:
    """One change as it was asked for. `told`: what is kept of the request, which names nobody."""

    changes: tuple[AudienceChange, ...]
    told: Mapping[str, Any]
    idempotency_key: str | None
    is_test: bool

    def messages(self) -> tuple[NewMessage, ...]:
        """All messages of a list stand in one line: of include and exclude the later one has to win."""
        return tuple(
            NewMessage(
                DESTINATION,
                change.action,
                change.stored(),
                line=change.list_name,
                event_id=change.list_name,
            )
            for change in self.changes
        )


def list_in_path(rest: str) -> str | None:
    """The name of a list behind /v1/audiences, still percent-encoded; None: there is none.

    Errors: NotFound, InvalidPayload.
    """
    if rest in ("", "/"):
        return None
    name = rest.removeprefix("/").removesuffix("/")
    if not all(name.split("/")):
        raise NotFound("There is nothing at this path.")
    reader = Reader()
    found: str | None = reader.read("list", _list_name, _decoded(name))
    if not (reader.errors or found):
        reader.refuse("list", "is blank")
    reader.check()
    return found


def read_many(
    body: Mapping[str, Any], path_list: str | None, header_key: str | None
) -> tuple[list[Any], str | None, str | None]:
    """`{"updates": […]}`: its items, the list that all are for unless they name one, and the key of all.

    Errors: InvalidPayload.
    """
    reader = Reader()
    its_list = _named(reader, body.get("list"), path_list)
    key = reader.read("idempotency_key", incoming.key, body.get("idempotency_key"), "") or header_key
    dispatch_id = reader.read("dispatch_id", a_text, body.get("dispatch_id"), "")
    reader.refuse_unknown([name for name in body if name not in KEYS_OF_MANY], "is not known", KEYS_OF_MANY)
    items = body["updates"]
    if not isinstance(items, list):
        reader.refuse("updates", f"must be a list of objects in braces, not {json_type(items)}")
    reader.check()
    marked = dispatch_id if is_test(dispatch_id) else key
    return items, its_list, marked


def read(
    body: Mapping[str, Any], path_list: str | None, header_key: str | None, list_of_all: str | None = None
) -> AudienceUpdate:
    """One change. `path_list`: the list that the path names; `list_of_all`: that of those that name none.

    Errors: InvalidPayload with all that is wrong.
    """
    reader = Reader()
    action: Action | None = reader.read("action", _action, body.get("action"))
    list_name = _named(reader, body.get("list"), path_list) or list_of_all or DEFAULT_LIST
    is_hashed: bool = reader.read("hash", _yes_no, body.get("hash"), False)
    key = reader.read("idempotency_key", incoming.key, body.get("idempotency_key"), "") or header_key or ""
    dispatch_id = reader.read("dispatch_id", a_text, body.get("dispatch_id"), "")
    reader.refuse_unknown([name for name in body if name not in KEYS], "is not known", KEYS)
    given = _given(reader, body)
    found = list(_identifiers(reader, *given, is_hashed)) if given else []
    reader.check()
    assert action is not None
    assert given is not None
    told = {"action": action, "list": list_name, given[0]: len(found), "hash": is_hashed}
    changes = changes_of(list_name, action, found)
    return AudienceUpdate(changes, told, key or None, is_test(key, header_key, dispatch_id))


def _named(reader: Reader, given: object, path_list: str | None) -> str | None:
    name: str | None = reader.read("list", _list_name, given)
    if path_list and name and name != path_list:
        reader.refuse("list", "is another list than that of the path: name it once")
    return path_list or name


def _given(reader: Reader, body: Mapping[str, Any]) -> tuple[str, list[Any]] | None:
    """The one field that names people, and its items."""
    there = [name for name in FIELDS if name in body]
    filled = [name for name in there if not _is_blank(body[name])]
    if len(filled) > 1:
        reader.refuse(
            filled[1], f"stands beside {filled[0]}: exactly one of {', '.join(FIELDS)} may be given"
        )
    elif not there:
        reader.refuse("email", f"is needed, or one of {', '.join(FIELDS[1:])}")
    elif not filled:
        reader.refuse(there[0], BLANK if there[0] in ONE else "is empty: it names nobody")
    else:
        [name] = filled
        items = reader.read(name, _one if name in ONE else _many, body[name])
        return None if items is None else (name, items)
    return None


def _is_blank(given: object) -> bool:
    return given is None or given == [] or (isinstance(given, str) and not given.strip())


def _one(given: object) -> list[Any]:
    if isinstance(given, list):
        raise InvalidValue("holds one; a list of them goes into emails or sha256s")
    return [a_text(given)]


def _many(given: object) -> list[Any]:
    """A list, or a text that Liquid made of one."""
    if isinstance(given, str):
        parts = (part.strip(' \t\r\n"') for part in given.strip(" []").split(","))
        return [part for part in parts if part]
    if not isinstance(given, list):
        raise InvalidValue(f"must be a list of texts, not {json_type(given)}")
    return given


def _identifiers(reader: Reader, name: str, items: list[Any], is_hashed: bool) -> Iterator[str]:
    """Each address or hash, as it leaves."""
    wrong = 0
    for number, item in enumerate(items):
        try:
            yield _identifier(name, item, is_hashed)
        except InvalidValue as told:
            wrong += 1
            if wrong <= MOST_NAMED:
                reader.refuse(f"{name}[{number}]" if name in MANY else name, str(told))
    if wrong > MOST_NAMED:
        reader.refuse(name, f"{wrong - MOST_NAMED:,} more of its {len(items):,} are not right")


def _identifier(name: str, item: object, is_hashed: bool) -> str:
    """What is wrong is not repeated: it may be somebody's address all the same."""
    if not isinstance(item, str):
        raise InvalidValue(f"must be text in quotes, not {json_type(item)}")
    if not item.strip():
        raise InvalidValue("is blank")
    if is_hashed or name in ("email", "emails"):
        found = hashing.hashed(item) if is_hashed else hashing.hash_of(item) or hashing.address_of(item)
        if found is None:
            raise InvalidValue(NO_ADDRESS)
        return found
    found = hashing.hash_of(item)
    if found is None:
        raise InvalidValue(NO_HASH if hashing.address_of(item) is None else NOT_HASHED)
    return found


def _action(given: object) -> Action:
    action = a_text(given).lower()
    for known in ACTIONS:
        if action == known:
            return known
    if not action:
        raise InvalidValue(f"is needed: {' or '.join(ACTIONS)}")
    raise InvalidValue(f"{shown(action)} is no action; {meant(action, ACTIONS)}")


def _list_name(given: object) -> str | None:
    """None for a blank one."""
    name = a_text(given)
    if len(name) > MOST_NAME:
        raise InvalidValue(f"is longer than {MOST_NAME} characters")
    return identifier(name, 4 * MOST_NAME) or None


def _yes_no(given: object) -> bool:
    if isinstance(given, bool):
        return given
    text = a_text(given).lower()
    if text not in YES_NO:
        raise InvalidValue("must be true or false")
    return YES_NO[text]


def _decoded(name: str) -> str:
    try:
        return unquote(name, errors="strict")
    except UnicodeDecodeError:
        raise InvalidPayload("The name of the list in the path is not UTF-8.") from None
