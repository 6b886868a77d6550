"""Drafts and requests for the tests of publishing: what somebody wrote, and what was really sent."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

from console.conftest import Console
from web.running import ID, SALE, Bridge, sale

from bridge.calendar import versions
from bridge.calendar.versions import Draft
from bridge.database import clock

AT = "/console/templates/flash_sale"
SCRIPT = "<script>document.title = 'taken'</script>"
NAMES = ("Ada", "", "Grace", "", "")  # first names of five requests: three are blank


def write(console: Console, *changes: tuple[str, str], by: str = "editor", name: str = "flash_sale") -> Draft:
    """Change the draft, or what is published: each of `changes` is what stood and what shall stand."""

    def change(source: str) -> str:
        for old, new in changes:
            assert old in source, old
            source = source.replace(old, new)
        return source

    return rewrite(console, change, by=by, name=name)


def rewrite(console: Console, change: Callable[[str], str], *, by: str = "editor", name: str) -> Draft:
    with console.bridge.database.write() as connection:
        stands = versions.draft(connection, name)
        published = versions.published_source(connection, name)
        source = stands.source if stands else published[0] if published else ""
        return versions.save_draft(
            connection,
            name,
            change(source),
            clock(connection),
            by=by,
            origin="console",
            revision=stands.revision if stands else None,
        )


def draft_of(console: Console, name: str = "flash_sale") -> Draft | None:
    with console.bridge.database.read() as connection:
        return versions.draft(connection, name)


def published(console: Console, name: str = "flash_sale") -> tuple[str, int]:
    with console.bridge.database.read() as connection:
        found = versions.published_source(connection, name)
    assert found is not None
    return found


def send_five(bridge: Bridge, **variables: Any) -> list[str]:
    """Five real requests, three of them without a first name."""
    return [
        bridge.accept(
            sale(
                user_id=f"u{number}",
                subscription_ids=[ID],
                variables={**SALE, "sale_id": f"s{number}", "first_name": name, **variables},
            )
        ).id
        for number, name in enumerate(NAMES)
    ]


def text_of(page: str) -> str:
    """A page as it is read."""
    apart = re.sub(r"<(?:br|/?(?:p|td|th|dt|dd|div|li|h[1-6]))\b[^>]*>", " ", page)
    return " ".join(html.unescape(re.sub("<[^>]+>", "", apart)).split())
