"""`subscribers`: import, list, show or count those that are known."""

from __future__ import annotations

import argparse
from typing import Any

from bridge.commands.asking import ask, call, show
from bridge.commands.subscriber_import import import_subscribers
from bridge.errors import InvalidValue

FILTERS = ("user_id", "subscription_id", "state", "cursor")


def mount(commands: Any) -> None:
    words = "import, list, show or count the subscribers that are known"
    subscribers = commands.add_parser("subscribers", help=words, description=words)
    kinds = subscribers.add_subparsers(required=True, metavar="import|list|show|counts")
    known = kinds.add_parser("import", help="take in what Braze holds already, from an export of its users")
    known.set_defaults(command=import_subscribers)
    known.add_argument(
        "file", metavar="FILE", help='JSON lines, a JSON array or CSV; "-" reads standard input'
    )
    listing = kinds.add_parser("list", help="by subscription id")
    listing.set_defaults(command=_list_subscribers)
    for name in FILTERS:
        listing.add_argument(f"--{name.replace('_', '-')}")
    listing.add_argument("--limit", type=int, default=50)
    one = kinds.add_parser("show", help="one subscription")
    one.set_defaults(command=_show_subscriber)
    one.add_argument("id", help="the subscription's id")
    kinds.add_parser("counts", help="how many, in each state").set_defaults(command=_count_subscribers)


def _list_subscribers(given: argparse.Namespace) -> int:
    filters = {name: value for name in FILTERS if (value := getattr(given, name)) is not None}
    return call("GET", "/v1/subscribers", {**filters, "limit": str(given.limit)})


def _show_subscriber(given: argparse.Namespace) -> int:
    status, answer = ask("GET", "/v1/subscribers", {"subscription_id": given.id})
    if status < 400:
        if not answer["subscribers"]:
            raise InvalidValue("There is no such subscription.")
        [answer] = answer["subscribers"]
    return show(status, answer)


def _count_subscribers(_given: argparse.Namespace) -> int:
    return call("GET", "/v1/subscribers/counts", {})
