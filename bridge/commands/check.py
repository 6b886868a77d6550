"""`check`: every fault of settings and database, and with --connect one call to each upstream."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from bridge.commands.asking import read_settings
from bridge.errors import SettingsInvalid


def mount(commands: Any) -> None:
    words = "tell every fault of settings and database; with --connect ask each upstream"
    check = commands.add_parser("check", help=words, description=words)
    check.set_defaults(command=_check)
    check.add_argument(
        "--connect", action="store_true", help="one authenticated call to each configured upstream"
    )


def _check(given: argparse.Namespace) -> int:
    from bridge import schema
    from bridge.database import UNAVAILABLE, Database
    from bridge.destinations import DESTINATIONS, configured
    from bridge.errors import UpstreamTrouble

    faults: list[str] = []
    try:
        settings = read_settings(is_web=True)
    except SettingsInvalid as wrong:
        print(f"The environment is not right:\n{wrong}", file=sys.stderr)
        return 1
    database = Database(settings.database_url)
    try:
        with database.read() as connection:
            if not schema.is_current(connection):
                faults.append(schema.OLDER)
    except UNAVAILABLE as down:
        faults.append(f"the database is not reachable ({type(down.__cause__ or down).__name__})")
    database.close()
    destinations = {destination.name: destination for destination in configured(settings)}
    for name in DESTINATIONS:
        print(f"{name}: {'configured' if name in destinations else 'off, its variables are not set'}")
    for name, destination in destinations.items() if given.connect else ():
        for account, found in destination.check().items():
            told = f"{name}{f' ({account})' if account else ''}: {found}"
            if isinstance(found, UpstreamTrouble):
                faults.append(told)
            else:
                print(told)
        destination.close()
    faults += _check_offers(settings, connect=given.connect)
    faults += _check_console(settings, connect=given.connect)
    for fault in faults:
        print(f"- {fault}", file=sys.stderr)
    if not faults:
        print("Everything is as it should be.")
    return 1 if faults else 0


def _check_offers(settings: Any, *, connect: bool) -> list[str]:
    from bridge.errors import UpstreamTrouble
    from bridge.offers import Offers

    print(f"offers: {'configured' if settings.offers else 'off, its variables are not set'}")
    if not connect or settings.offers is None:
        return []
    offers = Offers(settings.offers, allow_http=settings.is_development)
    try:
        print(f"offers: {offers.check()}")
    except UpstreamTrouble as trouble:
        return [f"offers: {trouble}"]
    finally:
        offers.close()
    return []


def _check_console(settings: Any, *, connect: bool) -> list[str]:
    from bridge.errors import UpstreamTrouble
    from bridge.upstream.oidc import OpenIdProvider

    users, oidc = settings.console.users, settings.console.oidc
    ways = [f"{len(users)} by password"] if users else []
    ways += [f"those whom {oidc.issuer} knows"] if oidc else []
    print(f"console: {'open to ' + ' and '.join(ways) if ways else 'off, its variables are not set'}")
    if not connect or oidc is None:
        return []
    allow_http = settings.is_development
    provider = OpenIdProvider(oidc.issuer, oidc.client_id, oidc.client_secret.reveal(), allow_http=allow_http)
    try:
        print(f"console: {provider.check()}")
    except UpstreamTrouble as trouble:
        return [f"console: {trouble}"]
    return []
