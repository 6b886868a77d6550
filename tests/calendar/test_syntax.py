"""What a template's parser says, in words for a marketer: what to do, and none of the parser's own."""

from __future__ import annotations

import pytest

from bridge.calendar.engine import TemplateFault, compile_template

REST = "".join(
    f"{{% block {name} %}}{text}{{% endblock %}}"
    for name, text in (("start", "2026-12-12"), ("timezone", "UTC"), ("event_id", "1"))
)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("{{ a {% if b %}", 'a tag is not closed: its "}}" or "%}" is missing before the next begins'),
        ("{{ a }", "the tag is closed by one bracket alone"),
        ("{{ a b }}", '"b" does not fit here: is a quote, a | or a ~ missing before it?'),
        ("{{ (a }}", 'a closing ")" is missing'),
        ("{{ a) }}", '")" does not fit here'),
        ("{{ a + }}", "something is missing before the end of this tag"),
        ("{{ }}", "something is missing before the end of this tag"),
        ("{{ a | }}", "something is missing before the end of this tag"),
        ('{{ a | date("%H }}', "a quote is opened here and not closed"),
        ("{{ it's }}", "a quote is opened here and not closed"),
        ("{{ “a” }}", "typographic quotes mean nothing in a tag: write straight ones"),
        ("{{ a | replace('x' y) }}", "is a comma, a quote or a bracket missing before it?"),
        ("{% if a = 1 %}x{% endif %}", "two things are compared by two equals signs: =="),
        ("{% if a && b %}x{% endif %}", "write and, not &&"),
        ("{% if a || b %}x{% endif %}", "write or, not ||"),
        ("{% if !a %}x{% endif %}", "write not, or != between two values"),
        ("{{ a ? b : c }}", "write {{ this if condition else that }}"),
        ("{% if a %}x{% else if b %}y{% endif %}", "write {% elif … %}"),
        ("{% if a %}x", "{% endif %} is missing"),
        ("{% %}", "a tag begins with a word"),
        ("{{ a \x00 }}", "a character here means nothing in a tag"),
        ("{# never ends", 'a comment is opened by "{#" and not closed by "#}"'),
        ("{% raw %} never ends", "{% endraw %} is missing"),
        ("{% set a b %}", '"b" does not fit here'),
        ("{% for a b %}x{% endfor %}", '"b" does not fit here'),
        ('{{ a | date: "%H" }}', "a filter's argument stands in brackets"),
    ],
)
def test_a_slip_is_told_with_what_to_do(written: str, told: str) -> None:
    source = "{% block title %}" + written + "{% endblock %}" + REST

    with pytest.raises(TemplateFault) as fault:
        compile_template("one", {"one": source})

    assert told in fault.value.words
    assert fault.value.line == 1
    assert not [word for word in ("expected token", "unexpected", "statement") if word in fault.value.words]
