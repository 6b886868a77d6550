"""The filter that makes a link count its clicks."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from bridge.calendar.engine.faults import Refusal
from bridge.calendar.engine.values import as_text, is_blank


def link(
    value: object,
    campaign: object = None,
    source: object = "rokt_calendar",
    medium: object = "calendar",
    content: object = None,
    term: object = None,
) -> str:
    """A web address with utm_source, utm_medium and utm_campaign, so that a click can be counted.

    What the address has of its own, its query, its fragment and any utm_ that it names already, stays as it is.
    """
    address = as_text(value).strip()
    named = {"source": source, "medium": medium, "campaign": campaign, "content": content, "term": term}
    added = tuple((f"utm_{name}", as_text(text)) for name, text in named.items() if not is_blank(text))
    return _with_counted(address, added)


@lru_cache(maxsize=64)  # a campaign has few links, and all its requests make them
def _with_counted(address: str, added: tuple[tuple[str, str], ...]) -> str:
    if len(address) > _LONGEST:
        raise Refusal(f"link: a web address has at most {_LONGEST:,} characters")
    if not _ADDRESS.fullmatch(address):
        reason = "has white space" if re.search(r"\s", address) else "does not begin with https://"
        raise Refusal(f'link: "{address[:60]}" is not a web address, as it {reason}')
    try:
        parts = urlsplit(address)
        kept = {key.lower() for key, _ in parse_qsl(parts.query, keep_blank_values=True, max_num_fields=200)}
    except ValueError as error:
        raise Refusal(f'link: "{address[:60]}" is not a web address: {error}') from error
    more = urlencode([(name, text) for name, text in added if name not in kept], quote_via=quote)
    query = "&".join(filter(None, (parts.query.strip("&"), more)))
    return urlunsplit(parts._replace(query=query))


_LONGEST = 8_000
# Possessive: an address of one kind of letter must not be tried at each of its places.
_ADDRESS = re.compile(r"https?://[^\s/?#@:]++\S*+", re.IGNORECASE)
