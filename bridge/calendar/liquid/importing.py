"""From a Braze webhook to a template, checked by rendering both."""

from __future__ import annotations

from bridge.calendar.engine import TemplateFault, compile_template
from bridge.calendar.liquid import dialect, pasted, reading
from bridge.calendar.liquid.body import Body, read_body
from bridge.calendar.liquid.comparing import compare
from bridge.calendar.liquid.names import USER_ID, Names, without_default
from bridge.calendar.liquid.results import Imported, LiquidFault, Note
from bridge.calendar.liquid.samples import sample_users
from bridge.calendar.liquid.simplify import simplified
from bridge.calendar.liquid.tree import Expression, Filtered, Nodes, Output, Text
from bridge.calendar.liquid.writing import with_fallbacks, write
from bridge.errors import nearest

# Rokt's own names of an event's fields, and the blocks that make them.
BLOCKS = {
    "eventId": "event_id",
    "title": "title",
    "description": "description",
    "location": "location",
    "start": "start",
    "end": "end",
    "timezone": "timezone",
    "notifyBefore": "notify_before",
    "allDayEvent": "all_day",
    "visibleFromDateTimeUtc": "visible_from",
}
# Braze's French page translated the names in its body, and nobody takes those.
_TRANSLATED = {
    "titre": "title",
    "emplacement": "location",
    "départ": "start",
    "début": "start",
    "fin": "end",
    "fuseau horaire": "timezone",
    "eventtz": "timezone",
}
_DONE_BY_THE_BRIDGE = {
    "subscriptionIds": "the subscriptions: the bridge takes them from subscription_ids in the webhook",
    "accountCode": "the account: the bridge takes it from account_code in the webhook",
}


def import_here(text: str, *, name: str, url: str = "", headers: str = "") -> Imported:
    """In this process, without limits of time: for the child process. Errors: LiquidFault."""
    pasted.check_size(text, url, headers)
    if not text.strip():
        raise LiquidFault("the body is blank: paste the raw text of the webhook's body")
    clean, notes = pasted.clean_body(text)
    action, more = pasted.read_url(url)
    notes += [*more, *pasted.read_headers(headers)]
    template = dialect.parse(clean)
    body = read_body(reading.read(template, clean))
    notes += body.notes
    blocks = _blocks(body, notes)
    simple = simplified(with_fallbacks(blocks, notes), body)
    simple.blocks["event_id"] = _without_user(simple.blocks["event_id"], body, notes)
    purpose = _purpose(simple.blocks["title"])
    names = Names()
    written = write(simple, names, purpose)
    notes += [*simple.notes, *written.notes, *_kept_in_mind(names)]
    try:
        compiled = compile_template(name, {name: written.source})
    except TemplateFault as fault:
        notes.append(Note(None, f"the template does not work as it stands: {fault}"))
        return Imported(written.source, purpose, _sorted(notes), [], action, _names(names))
    cases = compare(template, compiled, sample_users(names))
    return Imported(written.source, purpose, _sorted(notes), cases, action, _names(names))


def _blocks(body: Body, notes: list[Note]) -> dict[str, Nodes]:
    """The event's fields, by the template's blocks; what is none of them is told."""
    blocks: dict[str, Nodes] = {}
    is_wrapped = any(path.startswith("event.") for path in body.fields)
    for path, nodes in body.fields.items():
        key = path.removeprefix("event.") if is_wrapped else path
        line = body.lines.get(path)
        if path in _DONE_BY_THE_BRIDGE:
            notes.append(Note(line, _DONE_BY_THE_BRIDGE[path], is_open=False))
        elif key in BLOCKS and (path.startswith("event.") or not is_wrapped):
            blocks[BLOCKS[key]] = nodes
        else:
            near = [_TRANSLATED[key.lower()]] if key.lower() in _TRANSLATED else nearest(key, list(BLOCKS), 1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            notes.append(Note(line, f'"{path[:60]}" is no field of Rokt\'s event: left out{hint}'))
    if not blocks:
        known = ", ".join(BLOCKS)
        raise LiquidFault(f"this is no body for Rokt Calendar: none of its fields is there ({known})")
    return blocks


def _without_user(nodes: Nodes, body: Body, notes: list[Note]) -> Nodes:
    """An event id without the user's at its end, which the bridge puts there."""
    line = body.lines.get("event.eventId") or body.lines.get("eventId")
    if (
        len(nodes) > 1
        and isinstance(last := nodes[-1], Output)
        and _base(last.value) == USER_ID
        and isinstance(before := nodes[-2], Text)
        and before.text.endswith("_")
    ):
        words = "the user's id at the end of eventId: the bridge puts it there, so the events stay the same"
        notes.append(Note(line, words, is_open=False))
        return (*nodes[:-2], Text(before.text[:-1])) if before.text != "_" else nodes[:-2]
    words = (
        "eventId does not end in _{{${user_id}}}, and the bridge's does: an event that Braze created before is "
        "another one to it, and is not updated from here"
    )
    notes.append(Note(line, words))
    return nodes


def _base(value: Expression) -> Expression:
    while isinstance(value, Filtered):
        value = without_default(value) if value.name == "default" else value.base
    return value


def _purpose(title: Nodes) -> str:
    plain = " ".join("".join(node.text for node in title if isinstance(node, Text)).split())
    is_plain = all(isinstance(node, Text) for node in title)
    return f"{plain[:120]}: imported from a Braze webhook." if is_plain else "Imported from a Braze webhook."


def _kept_in_mind(names: Names) -> list[Note]:
    """What is stricter here, or told in another way, without anything to do about it."""
    notes = []
    required = [f'"{variable.name}"' for variable in names.variables.values() if variable.is_required]
    if required:
        words = (
            f"{' and '.join(filter(None, (', '.join(required[:-1]), required[-1])))} must be sent: without it the "
            "bridge refuses the event, keeps the request and can replay it, where Braze sent half an event"
        )
        notes.append(Note(None, words, is_open=False))
    if any(variable.type == "time" for variable in names.variables.values()):
        words = (
            "a time with an offset or Z is told on the clock of the event's zone, where Braze tells it in UTC"
        )
        notes.append(Note(None, words, is_open=False))
    return notes


def _names(names: Names) -> list[str]:
    return [variable.name for variable in names.variables.values()]


def _sorted(notes: list[Note]) -> list[Note]:
    boxes = ("body", "URL", "headers")
    unique = list(dict.fromkeys(notes))
    return sorted(unique, key=lambda note: (not note.is_open, boxes.index(note.box), note.line or 0))
