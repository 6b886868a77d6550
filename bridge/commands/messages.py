"""`messages`: list, show, replay or cancel."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from bridge.commands.asking import call
from bridge.errors import InvalidValue
from bridge.message import FILTERS


def mount(commands: Any) -> None:
    words = "list, show, replay or cancel messages"
    messages = commands.add_parser("messages", help=words, description=words)
    kinds = messages.add_subparsers(required=True, metavar="list|show|replay|cancel")
    listing = kinds.add_parser("list", help="the newest first")
    listing.set_defaults(command=_list_messages)
    _add_filters(listing)
    listing.add_argument("--limit", type=int, default=50)
    show = kinds.add_parser("show", help="one message with its attempts")
    show.set_defaults(command=_show_message)
    show.add_argument("id")
    again = kinds.add_parser("replay", help="send a settled message again, or all that a filter finds")
    again.set_defaults(command=_replay_messages)
    again.add_argument("id", nargs="?")
    again.add_argument(
        "--render", choices=["current"], help="render its payload with the version published now"
    )
    again.add_argument("--force", action="store_true", help="even if a later one of its event was delivered")
    cancel = kinds.add_parser("cancel", help="end what waits and is not under way, by a filter")
    cancel.set_defaults(command=_cancel_messages)
    for bulk in (again, cancel):
        _add_filters(bulk)
        bulk.add_argument("--dry-run", action="store_true", help="only count")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    for name in FILTERS:
        parser.add_argument(f"--{name.replace('_', '-')}")


def _list_messages(given: argparse.Namespace) -> int:
    return call("GET", "/v1/messages", {**_filters(given), "limit": str(given.limit)})


def _show_message(given: argparse.Namespace) -> int:
    return call("GET", f"/v1/messages/{quote(given.id, safe='')}", {})


def _replay_messages(given: argparse.Namespace) -> int:
    options = {"render": given.render or "", "force": "1" if given.force else ""}
    if given.id is None:
        return _create_job("replay", given, options)
    if _filters(given) or given.dry_run:
        raise InvalidValue("Give the id of one message, or filters for many; --dry-run is for many.")
    return call("POST", f"/v1/messages/{quote(given.id, safe='')}/replay", options)


def _cancel_messages(given: argparse.Namespace) -> int:
    return _create_job("cancel", given, {})


def _create_job(kind: str, given: argparse.Namespace, options: dict[str, str]) -> int:
    query = {**options, "dry_run": "1" if given.dry_run else ""}
    return call("POST", f"/v1/messages/{kind}", query, _filters(given))


def _filters(given: argparse.Namespace) -> dict[str, str]:
    """What was given, blank or not: a blank is for the API to judge."""
    return {name: value for name in FILTERS if (value := getattr(given, name)) is not None}
