"""What a template's parser says, in words for a marketer who may know Liquid better."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from jinja2 import TemplateSyntaxError

from bridge.calendar.engine.faults import TemplateFault, did_you_mean


@contextmanager
def syntax_faults(name: str, text: str) -> Iterator[None]:
    """What Jinja or Python cannot compile becomes a TemplateFault of the file `name`."""
    try:
        yield
    except TemplateSyntaxError as error:
        words = _words(error.message or "", text, error.lineno)
        raise TemplateFault(name, error.lineno, "template", "template syntax", words) from error
    except (SyntaxError, RecursionError, MemoryError, ValueError, OverflowError) as error:
        words = "something here is nested too deeply, or too long"
        raise TemplateFault(name, None, "template", "template syntax", words) from error


_UNKNOWN_TAG = re.compile(r"unknown tag '(\w+)'")
_OPEN_TAG = re.compile(r"needs to be closed is '(\w+)'")
_TAGS = (
    *(
        "if",
        "elif",
        "else",
        "endif",
        "for",
        "endfor",
        "set",
        "endset",
        "block",
        "endblock",
        "extends",
        "include",
    ),
    *(
        "import",
        "from",
        "macro",
        "endmacro",
        "call",
        "endcall",
        "filter",
        "endfilter",
        "with",
        "endwith",
        "raw",
    ),
)
_LIQUID_TAGS = {
    "elsif": "write {% elif … %}",
    "assign": "write {% set … %}",
    "capture": "write {% set name %}…{% endset %}",
    "endcapture": "write {% endset %}",
    "unless": "write {% if not … %}",
    "endunless": "write {% endif %}",
    "case": "write {% if … %} {% elif … %}",
    "when": "write {% elif … %}",
    "abort_message": "use the skip block, or abort in the webhook's body",
    "connected_content": "call it in the webhook's body, and send what it answers as a variable",
    "comment": "write {# … #}",
    "render": "write {% include … %}",
    "do": "use {% set … %}",
}


def _words(message: str, text: str, line: int) -> str:
    """Words for what Jinja's parser says."""
    if found := _UNKNOWN_TAG.search(message):
        tag = found[1]
        if tag in _TAGS:
            open_tag = _OPEN_TAG.search(message)
            missing = (
                f": {{% end{open_tag[1]} %}} is missing before it" if open_tag else ": nothing is open there"
            )
            return f'the tag "{tag}" stands in the wrong place{missing}'
        return f'there is no tag "{tag}"' + (
            f": {_LIQUID_TAGS[tag]}" if tag in _LIQUID_TAGS else did_you_mean(tag, _TAGS)
        )
    lines = text.splitlines()
    written = lines[line - 1] if 0 < line <= len(lines) else ""
    if "${" in written:
        return "${…} is Braze's: write it in the webhook's body, and send its value as a variable"
    if "got ':'" in message:
        return 'a filter\'s argument stands in brackets, | date("%H:%M"), not behind a colon'
    for pattern, told in _SAID:
        if found := re.search(pattern, message):
            return _CHARS.get(found[1], told.format(found[1])) if found.re.groups else told
    return message[:1].lower() + message[1:].rstrip(".")


# What Jinja's parser says of slips that marketers make, and what to do.
_SAID = (
    (r"end of statement block', got '='", "two things are compared by two equals signs: =="),
    (r"got 'if'", "there is no {% else if … %}: write {% elif … %}"),
    (r"got '\{'", 'a tag is not closed: its "}}" or "%}" is missing before the next begins'),
    (r", expected '(\)|\]|\})'", 'a closing "{}" is missing'),
    (r"unexpected '\}'", 'the tag is closed by one bracket alone: write "}}" or "%}"'),
    (r"unexpected char (?:'|\")(.)(?:'|\")", '"{}" does not fit here'),
    (r"^unexpected '([^ ']+)'", '"{}" does not fit here'),
    (r"^unexpected char", "a character here means nothing in a tag"),
    (r"^tag name expected", "a tag begins with a word, such as {% if … %} or {% set … %}"),
    (
        r"(?:got|unexpected) '(?:end of|begin of)|expected an expression",
        "something is missing before the end of this tag",
    ),
    (
        r"end of (?:print statement|statement block)', got '([^']+)'",
        '"{}" does not fit here: is a quote, a | or a ~ missing before it?',
    ),
    (
        r"token '[,)\]}:]', got '([^']+)'",
        '"{}" does not fit here: is a comma, a quote or a bracket missing before it?',
    ),
    (r"got '([^']+)'", '"{}" does not fit here'),
    (r"needs to be closed is '(\w+)'", "{{% end{} %}} is missing"),
    (r"Missing end of comment", 'a comment is opened by "{#" and not closed by "#}"'),
    (r"Missing end of raw", "{% endraw %} is missing"),
)
_CHARS = {
    **dict.fromkeys("'\"", "a quote is opened here and not closed"),
    **dict.fromkeys("“”„‘’«»", "typographic quotes mean nothing in a tag: write straight ones"),
    "&": "write and, not &&",
    "|": "write or, not ||",
    "!": "write not, or != between two values",
    "?": "write {{ this if condition else that }}",
}
