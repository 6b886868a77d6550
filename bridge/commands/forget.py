"""`forget`: erase what is kept of one person."""

from __future__ import annotations

import argparse
from typing import Any

from bridge.commands.asking import call
from bridge.errors import InvalidValue

WHO = ("user_id", "email", "subscription_id")
OPTIONS = ("recall", "force", "dry_run")


def mount(commands: Any) -> None:
    words = "erase what is kept of one person, and say what that was"
    one = commands.add_parser("forget", help=words, description=words)
    one.set_defaults(command=_forget)
    one.add_argument("--user-id", metavar="ID", help="as Braze names the user")
    one.add_argument("--email", metavar="ADDRESS", help="the address, whose hash is looked for too")
    one.add_argument("--subscription-id", metavar="ID", help="a subscription of Rokt Calendar")
    one.add_argument("--recall", action="store_true", help="first delete the events to come at Rokt")
    one.add_argument("--force", action="store_true", help="erase though some of these could not be deleted")
    one.add_argument("--dry-run", action="store_true", help="only tell what would go")


def _forget(given: argparse.Namespace) -> int:
    who = {name: value for name in WHO if (value := getattr(given, name)) is not None}
    if not who:
        raise InvalidValue("Say who: --user-id, --email or --subscription-id, or several of them.")
    options = {name: "1" for name in OPTIONS if getattr(given, name)}
    return call("POST", "/v1/forget", options, who)
