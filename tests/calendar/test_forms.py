"""A template as a form: what the form does not change stays to the character."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import nodes

from bridge.calendar.engine import BLOCKS, TemplateFault, compile_template
from bridge.calendar.engine.sandbox import Sandbox
from bridge.calendar.forms import Form, read_form, write_form
from bridge.calendar.outline import outline
from bridge.errors import InvalidValue

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
SHIPPED = {path.stem: path.read_text("utf-8") for path in Path("templates").glob("*.jinja")}
BRAND = "{% block timezone %}UTC{% endblock %}\n{% block location %}\nAt home\n{% endblock %}\n"

# Bodies that a careless reader of tags would break off too early or too late.
BODIES = (
    "",
    "A plain text",
    "two\nlines",
    "{{ name }}, you",
    "{% if name %}for {{ name }}{% else %}{% if not name %}nobody{% endif %}{% endif %}",
    "{# a comment with {% endblock %} in it #}x",
    "{% raw %}{% endblock %} {{ {% endraw %}",
    '{{ "%}" }}{{ "}}" }}',
    "{% set x = '{% endblock %}' %}{{ x }}",
    '{{ {"a": {"b": "c"}}["a"]["b"] }}',
    "{%- if name -%} x {%- endif -%}",
    "{% set x %}inner{% endset %}{{ x }}",
    "{%\n  if\n  name\n%}\ny\n{%\nendif\n%}",
    "{% for a in [1, 2] %}{{ a }}{% endfor %}",
    'it\'s "quoted" \\ 100 % {not a tag}',
    "⚡ Zoë",
)
OPENS = (
    "{{% block {} %}}",
    "{{%- block {} -%}}",
    "{{%block {}%}}",
    "{{% block\n  {} %}}",
    "{{%+ block {} %}}",
)
CLOSES = ("{{% endblock %}}", "{{% endblock {} %}}", "{{%- endblock -%}}", "{{%endblock%}}")
SPACES = ("", " ", "\n", "\n  ", "\n\n")
BETWEEN = ("\n", "\n\n", "", "\n{# why #}\n", "\nnever printed\n", "\n{% set y = '{% block title %}' %}\n")

bodies = st.sampled_from(BODIES)
spaces = st.sampled_from(SPACES)


@st.composite
def sources(draw: st.DrawFn) -> str:
    names = draw(st.permutations(BLOCKS))[: draw(st.integers(0, len(BLOCKS)))]
    parts = [draw(st.sampled_from(("", '{# About it.\n\nname default "" #}\n', "\ufeff{#- Short -#}\n")))]
    parts.append(draw(st.sampled_from(("", '{% extends "_brand" %}\n', "{%- extends '_brand.jinja' -%}\n"))))
    for name in names:
        parts += [draw(st.sampled_from(OPENS)).format(name), draw(spaces), draw(bodies), draw(spaces)]
        parts += [draw(st.sampled_from(CLOSES)).format(name), draw(st.sampled_from(BETWEEN))]
    return "".join(parts).replace("\n", draw(st.sampled_from(("\n", "\r\n", "\r"))))


def read(source: str) -> Form:
    return read_form("one", source, {"_brand": BRAND})


def texts(form: Form) -> dict[str, str | None]:
    return {field.name: field.text for field in form.fields}


@settings(max_examples=300, deadline=None)
@given(sources())
def test_writing_an_unchanged_form_gives_the_same_characters(source: str) -> None:
    form = read(source)

    written = write_form(source, {**texts(form), "head": form.head, "extends": form.extends})

    assert written == source


@settings(max_examples=200, deadline=None)
@given(sources())
def test_what_a_browser_does_to_line_breaks_and_blanks_is_no_change(source: str) -> None:
    form = read(source)
    posted = {
        name: ("\r\n" + text.replace("\n", "\r\n") + "\r\n" if text is not None else "")
        for name, text in texts(form).items()
    }

    assert write_form(source, posted) == source


@settings(max_examples=300, deadline=None)
@given(sources(), st.sampled_from(BLOCKS), bodies)
def test_a_changed_field_changes_nothing_else(source: str, name: str, text: str) -> None:
    before = {block.name: block for block in outline("one", source).blocks}

    written = write_form(source, {name: text})

    if name in before:
        block = before[name]
        assert written.startswith(source[: block.body])
        assert written.endswith(source[block.body_end :])
    if name in before or text:
        assert texts(read(written)) == {**texts(read(source)), name: text}
        assert write_form(written, {name: text}) == written
    else:
        assert written == source


@settings(max_examples=300, deadline=None)
@given(sources(), st.dictionaries(st.sampled_from(BLOCKS), st.one_of(st.none(), bodies), max_size=6))
def test_many_fields_are_changed_at_once(source: str, changes: dict[str, str | None]) -> None:
    before = texts(read(source))

    written = write_form(source, changes)

    expected = {
        name: None if changes[name] == "" and text is None else changes[name]
        for name, text in before.items()
        if name in changes
    }
    assert texts(read(written)) == before | expected
    assert read(written).settings == read(source).settings


@settings(max_examples=200, deadline=None)
@given(sources(), st.sampled_from(BLOCKS))
def test_a_block_that_goes_takes_nothing_with_it(source: str, name: str) -> None:
    written = write_form(source, {name: None})

    assert texts(read(written)) == {**texts(read(source)), name: None}
    assert read(written).settings == read(source).settings


@settings(max_examples=150, deadline=None)
@given(sources(), bodies)
def test_the_other_fields_are_rendered_as_before(source: str, text: str) -> None:
    needed = {"event_id": "{{ name }}", "title": "Two", "start": "2026-12-01T09:00", "timezone": "UTC"}
    source = write_form(source, needed | {"skip": None})

    changed = write_form(source, {"location": text})

    before, after = (
        compile_template("one", {"one": one, "_brand": BRAND}).render({"name": "Ada"}, NOW).fields
        for one in (source, changed)
    )
    assert {**before, "location": ""} == {**after, "location": ""}


@settings(max_examples=800, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            (
                *"{}%#-+'\"\\ \n\ra=(|",
                "{% block title %}",
                "{% endblock %}",
                "{% raw %}",
                "{% endraw %}",
                "{#",
                "#}",
                "{{ a }}",
                "{% set a = 1 %}",
                "{% set a %}",
                "{% endset %}",
                "{% if a %}",
                "{% endif %}",
                "{%",
                "%}",
                "{{",
                "}}",
                "{% block skip -%}",
                '{% extends "_brand" %}',
            )
        ),
        max_size=14,
    ).map("".join)
)
def test_whatever_jinja_understands_is_outlined_as_jinja_does(source: str) -> None:
    try:
        tree = Sandbox().parse(source)
    except Exception:  # noqa: BLE001 - whatever it is, Jinja does not take it
        try:
            read(source)
        except TemplateFault:
            return
        return
    expected = sorted(node.name for node in tree.find_all(nodes.Block))

    found = outline("one", source)

    assert sorted(block.name for block in found.blocks) == expected
    assert write_form(source, texts(read(source))) == source


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_shipped_template_is_read_and_written_as_it_is(name: str) -> None:
    form = read_form(name, SHIPPED[name], SHIPPED)

    written = write_form(SHIPPED[name], {**texts(form), "head": form.head, "extends": form.extends})

    assert written == SHIPPED[name]


def test_a_form_tells_what_a_shared_piece_says() -> None:
    form = read_form("flash_sale", SHIPPED["flash_sale"], SHIPPED)

    fields = {field.name: field for field in form.fields}

    assert [field.name for field in form.fields] == list(BLOCKS)
    assert (fields["timezone"].text, fields["timezone"].inherited) == (None, "{{ time_zone }}")
    assert (fields["notify_before"].text, fields["notify_before"].inherited) == ("60", "15")
    assert fields["notify_before"].is_plain
    assert not fields["title"].is_plain
    assert SHIPPED["flash_sale"].split("\n")[fields["title"].line - 1].startswith("{% block title %}")
    assert form.extends == "_brand"
    assert form.head.startswith("A two-day sale")
    assert form.settings == "{% set opens = starts | minus(hours=2 if vip else 0) %}"


def test_a_new_block_stands_where_its_order_puts_it() -> None:
    source = "{% block title %}A{% endblock %}\n{% block start %}{{ now }}{% endblock %}\n"

    written = write_form(source, {"event_id": "x", "description": "One\nTwo", "skip": "no"})

    assert written == (
        "{% block event_id %}x{% endblock %}\n"
        "{% block title %}A{% endblock %}\n"
        "{% block description %}\nOne\nTwo\n{% endblock %}\n"
        "{% block start %}{{ now }}{% endblock %}\n"
        "{% block skip %}no{% endblock %}\n"
    )


def test_a_field_whose_tag_is_still_open_hides_no_other() -> None:
    source = "{% block title %}A{% endblock %}\n{% block location %}B{% endblock %}\n"

    written = write_form(
        source, {"title": "{{ first_", "description": "{#", "location": "C", "event_id": "{% if"}
    )

    assert written == (
        "{% block event_id %}{% if{% endblock %}\n"
        "{% block title %}{{ first_{% endblock %}\n"
        "{% block description %}{#{% endblock %}\n"
        "{% block location %}C{% endblock %}\n"
    )


def test_a_block_within_one_that_is_written_anew_is_part_of_its_text() -> None:
    source = "{% block description %}{% block title %}A{% endblock %}{% endblock %}\n"

    assert (
        write_form(source, {"description": "B", "title": "C"}) == "{% block description %}B{% endblock %}\n"
    )
    assert (
        write_form(source, {"description": "B", "title": None}) == "{% block description %}B{% endblock %}\n"
    )
    assert write_form(source, {"title": "C"}) == source.replace("A", "C")
    assert write_form(source, {"description": None, "title": "C"}) == ""


def test_line_ends_are_the_files_own() -> None:
    source = "{% block title %}A{% endblock %}\r\n"

    written = write_form(source, {"title": "A\nB", "location": "C"})

    assert written == (
        "{% block title %}\r\nA\r\nB\r\n{% endblock %}\r\n{% block location %}C{% endblock %}\r\n"
    )


def test_the_head_and_the_piece_are_fields_too() -> None:
    source = "{% block title %}A{% endblock %}\n"

    written = write_form(source, {"head": "About it.", "extends": "_brand"})

    assert written == '{#\nAbout it.\n#}\n{% extends "_brand" %}\n' + source
    assert write_form(written, {"extends": "_other"}) == written.replace("_brand", "_other")
    assert write_form(written, {"extends": None, "head": None}) == source
    assert write_form("{# It. #}\n" + source, {"extends": "_brand", "head": None}) == (
        '{% extends "_brand" %}\n' + source
    )
    assert write_form("{# It. #}\n" + source, {"extends": "_brand"}) == (
        '{# It. #}\n{% extends "_brand" %}\n' + source
    )
    assert write_form(
        "", {"extends": "_brand", "head": "It.", "title": "A", "start": "B", "event_id": "C"}
    ) == (
        '{#\nIt.\n#}\n{% extends "_brand" %}\n'
        "{% block event_id %}C{% endblock %}\n"
        "{% block title %}A{% endblock %}\n"
        "{% block start %}B{% endblock %}\n"
    )


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("a\n{% block title %}A", 2, "endblock"),
        ("{% block title %}{{ name {% endblock %}", 1, "}}"),
        ("{% block title %}\n{{ name {% endblock %}{% block skip %}{{ a }}{% endblock %}", 2, "}}"),
        ("\n\n{# never ends", 3, "#}"),
        ("{% endblock %}", 1, "ends no block"),
        ('{% block title %}{{ "a }}{% endblock %}', 1, "}}"),
        ("{% raw %}{% block title %}", 1, "endraw"),
    ],
)
def test_what_cannot_be_read_as_a_form_says_where(source: str, line: int, words: str) -> None:
    with pytest.raises(TemplateFault) as fault:
        read(source)

    assert fault.value.line == line
    assert words in fault.value.words


def test_a_mistake_within_a_tag_leaves_the_form() -> None:
    form = read("{% block title %}{{ a b | nothing }}{% if %}{% endblock %}")

    assert texts(form)["title"] == "{{ a b | nothing }}{% if %}"


def test_a_field_that_there_is_not_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidValue, match=re.escape('"titel"; did you mean "title"?')):
        write_form("", {"titel": "A"})


def test_a_long_hostile_text_is_read_in_a_moment() -> None:
    for part in ('"', "'\\", "{{ (", "{% block title %}", "{#", " " * 50 + "{% endblock %}", "{{ '"):
        with pytest.raises(TemplateFault):
            read(part * (60_000 // len(part)) + "{{")
