"""`destinations`: list, pause or resume."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from bridge.commands.asking import call


def mount(commands: Any) -> None:
    words = "list, pause or resume destinations"
    destinations = commands.add_parser("destinations", help=words, description=words)
    kinds = destinations.add_subparsers(required=True, metavar="list|pause|resume")
    kinds.add_parser("list", help="state and backlog of each").set_defaults(command=_list_destinations)
    for verb, its_words in (("pause", "let nothing out"), ("resume", "let out what waits")):
        one = kinds.add_parser(verb, help=its_words)
        one.set_defaults(command=_set_destination, verb=verb)
        one.add_argument("name")


def _list_destinations(_given: argparse.Namespace) -> int:
    return call("GET", "/v1/destinations", {})


def _set_destination(given: argparse.Namespace) -> int:
    return call("POST", f"/v1/destinations/{quote(given.name, safe='')}/{given.verb}", {})
