from __future__ import annotations

import pytest

from bridge.calendar.engine.declarations import Variable, read_declaration
from bridge.calendar.engine.faults import TemplateFault


def declared(line: str) -> Variable:
    [variable] = read_declaration("sale", f"{{#\nWhat it is for.\n\n{line}\n#}}\n").variables
    return variable


def refusal(line: str) -> TemplateFault:
    with pytest.raises(TemplateFault) as refused:
        declared(line)
    return refused.value


def test_the_lines_before_the_first_blank_one_say_what_it_is_for() -> None:
    declaration = read_declaration("sale", "{#\nA sale,\n  on two days.\n\ndiscount number\n#}")

    assert declaration.purpose == "A sale, on two days."
    assert [variable.name for variable in declaration.variables] == ["discount"]


@pytest.mark.parametrize("source", ["", "Hello", "{% extends '_brand' %}{# not the first #}"])
def test_a_template_without_a_first_comment_declares_nothing(source: str) -> None:
    declaration = read_declaration("sale", source)

    assert (declaration.purpose, declaration.variables) == ("", ())


def test_a_comment_without_a_blank_line_says_what_it_is_for() -> None:
    assert read_declaration("sale", "{# Just a sale. #}").purpose == "Just a sale."


def test_a_comment_of_nothing_but_variables_declares_them() -> None:
    declaration = read_declaration("sale", "{#\nsale_id required\ndiscount required, number\n#}")

    assert [variable.type for variable in declaration.variables] == ["text", "number"]


def test_lines_are_counted_from_the_top_of_the_file() -> None:
    declaration = read_declaration(
        "sale", "\ufeff\r\n\n{#-\nA sale.\n\na text\n\n(the rest is optional)\nb text\n-#}"
    )

    assert [variable.line for variable in declaration.variables] == [6, 9]


def test_a_name_alone_is_optional_text() -> None:
    assert declared("nickname") == Variable("nickname", template="sale", line=4)


@pytest.mark.parametrize(
    "line", ["a required, number", "a number; required", "a number required", "a Required,NUMBER"]
)
def test_order_and_separators_are_free(line: str) -> None:
    variable = declared(line)

    assert (variable.type, variable.required) == ("number", True)


@pytest.mark.parametrize(
    ("line", "default"),
    [
        ('a default ""', None),
        ('a default "Eastern Standard Time"   e.g. Europe/Berlin', "Eastern Standard Time"),
        ("a default Eastern Standard Time; text", "Eastern Standard Time"),
        ("a text, default: 5", "5"),
        ("a default 'x, y; z', text", "x, y; z"),
        ('a default "required"', "required"),
        ("a yes/no, default no", "no"),
        ("a default no (what a note)", "no"),
    ],
)
def test_a_default_is_quoted_or_goes_to_the_next_comma(line: str, default: str | None) -> None:
    assert declared(line).default == default


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        ("a one of x, y, z", ("x", "y", "z")),
        ("a one of x, y or z, default x", ("x", "y", "z")),
        ('a one of scheduled, moved; default "moved"', ("scheduled", "moved")),
        ('a default y, one of "x, still x", y', ("x, still x", "y")),
        ("a one of x, y; required e.g. x", ("x", "y")),
        ("a one of two words, y", ("two words", "y")),
    ],
)
def test_choices_go_to_a_semicolon_or_the_next_word_of_its_own(line: str, choices: tuple[str, ...]) -> None:
    variable = declared(line)

    assert (variable.type, variable.choices) == ("one of", choices)


@pytest.mark.parametrize(
    ("line", "example", "note"),
    [
        ("a required            e.g. winter26", "winter26", ""),
        ("a required, time e.g. 2026-12-04T09:00   (local)", "2026-12-04T09:00", "local"),
        ('a e.g. "Ada, Countess of Lovelace"', "Ada, Countess of Lovelace", ""),
        ("a e.g. Ada, Countess", "Ada, Countess", ""),
        ("a (no: the day is known, the time is not)", None, "no: the day is known, the time is not"),
        ("a (default 5, required) time", None, "default 5, required"),
        ("a for example 5", "5", ""),
    ],
)
def test_an_example_goes_to_the_end_and_a_note_stands_in_brackets(
    line: str, example: str | None, note: str
) -> None:
    variable = declared(line)

    assert (variable.example, variable.note) == (example, note)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a requird", 'did you mean "required"?'),
        ("a nmber", 'did you mean "number"?'),
        ("a integer", 'did you mean "number"?'),
        ("a date", 'did you mean "day"?'),
        ("a boolean", 'did you mean "yes/no"?'),
        ("a datetime", 'did you mean "time"?'),
        ("a required, default 5", "only one"),
        ("a number, time", "twice"),
        ("a one of", "one of what"),
        ("a number, one of 1, 2", "two types"),
        ("now time", '"now"'),
        ("loop text", '"loop"'),
        ("5a text", "variable's name"),
        ("price-eur number", "variable's name"),
        ("a: number", "is like: discount required, number"),
        ("And this is prose.", '"this"'),
        ("a " + "x" * 600, "500"),
    ],
)
def test_a_line_that_cannot_be_understood_names_its_place_and_what_is_right(line: str, words: str) -> None:
    refused = refusal(line)

    assert (refused.template, refused.line, refused.cause) == ("sale", 4, "declaration")
    assert words in str(refused)
    assert str(refused).startswith("sale.jinja, line 4: ")


def test_a_name_is_declared_once() -> None:
    with pytest.raises(TemplateFault, match='line 5: "a" is declared twice'):
        read_declaration("sale", "{#\nWhat.\n\na text\na number\n#}")
