"""What people paste: a body with its page's line numbers or quotes, headers in any form, an address."""

from __future__ import annotations

import re

from bridge.calendar.liquid.results import LiquidFault, Note

MOST = 65_536  # characters of all three boxes together, as of a template

_FENCE = re.compile(r"\s*(?:```|~~~)\w*\s*")
_RAW = re.compile(r"\s*\{%-?\s*(?:end)?raw\s*-?%\}\s*")
_NUMBER = re.compile(r"\s*([0-9]{1,4})\s*")
_HOST = re.compile(r"https?://([^/\s{}]+)")


def check_size(*texts: str) -> None:
    """Errors: LiquidFault."""
    if (size := sum(map(len, texts))) > MOST:
        raise LiquidFault(f"this is {size:,} characters long: {MOST:,} are the most")


def clean_body(text: str) -> tuple[str, list[Note]]:
    """The body without what a web page put around it; each line keeps its number."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "").split("\n")
    notes = []
    numbers = _line_numbers(lines)
    if numbers:
        lines = ["" if place in numbers else line for place, line in enumerate(lines)]
        notes.append(Note(None, "the line numbers of the page were pasted too: left out", is_open=False))
    for place, line in enumerate(lines):
        if _FENCE.fullmatch(line):
            lines[place] = ""
    return "\n".join(lines), notes


def _line_numbers(lines: list[str]) -> set[int]:
    """The places of lines at the top that count 1, 2, 3 …, as a page's copy begins with them."""
    found: set[int] = set()
    wanted = 1
    for place, line in enumerate(lines):
        if not line.strip():
            continue
        match = _NUMBER.fullmatch(line)
        if match is None or int(match[1]) != wanted:
            break
        found.add(place)
        wanted += 1
    return found if wanted > 3 else set()


def read_url(url: str) -> tuple[str, list[Note]]:
    """(the action that the URL stands for, what is to be known of it)."""
    if not url.strip():
        return "create", []
    bare = re.sub(r"\{%[\s\S]*?%\}|\{\{[\s\S]*?\}\}+", "", url).strip()
    action = "update" if bare.rstrip("/").endswith("/update") else "create"
    notes = []
    if "account_code" in url:
        words = (
            "the account code: the bridge takes it, with all of the user's, from account_code in the webhook"
        )
        notes.append(Note(1, words, "URL", is_open=False))
    host = _HOST.search(url)
    if host is not None and "roktcalendar" not in host[1]:
        notes.append(Note(1, f"{host[1]} is not Rokt Calendar: is this the webhook that you mean?", "URL"))
    elif "subscriptionevent" not in url and host is not None:
        notes.append(Note(1, "this is not the address of Rokt Calendar's events", "URL"))
    if "abort_message" in url:
        notes.append(
            Note(1, "abort_message in the URL: put it into the webhook's body, or into the skip block", "URL")
        )
    if action == "update":
        words = (
            'it updates an event: the webhook to paste says "upsert", which creates or updates as it needs'
        )
        notes.append(Note(1, words, "URL", is_open=False))
    return action, notes


def read_headers(headers: str) -> list[Note]:
    """What is to be known of the headers, one line each: "Name: value"."""
    notes = []
    for number, line in enumerate(headers.replace("\r", "").split("\n"), 1):
        if not line.strip():
            continue
        name = line.split(":", 1)[0].strip(" -*`\t")
        if "connected_content" in line:
            is_rokt = "oauth2/token" in line
            words = (
                "the token of Rokt Calendar: not needed, the bridge gets its own; the webhook to paste has your key"
                if is_rokt
                else f"connected_content in {name}: the bridge's webhook needs your key alone"
            )
            notes.append(Note(number, words, "headers", is_open=not is_rokt))
        elif "content-type" not in line.lower():
            notes.append(
                Note(number, f'the header "{name[:60]}" goes to Rokt no more', "headers", is_open=False)
            )
    return notes
