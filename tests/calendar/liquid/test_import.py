"""The import from Braze: what a marketer pastes becomes a template that says the same."""

from __future__ import annotations

import pytest
from braze import Braze, User
from routes.test_source_document import AUTHORIZATION, CREATE_BODY, FLAT_UPDATE_BODY, UPDATE_BODY, URL

from bridge.calendar.engine import compile_template
from bridge.calendar.liquid import Imported, LiquidFault, import_liquid
from bridge.calendar.liquid.importing import import_here

REST = '"start": "2027-03-05T18:30:00", "timezone": "Europe/Berlin"'
AS_A_MARKETER_WOULD_WRITE_IT = """\
{#
Event Title: imported from a Braze webhook.
#}
{% block event_id %}Event_0001{% endblock %}
{% block title %}Event Title{% endblock %}
{% block location %}Event Location{% endblock %}
{% block description %}Event Description{% endblock %}
{% block start %}2019-02-21T15:00:00{% endblock %}
{% block end %}2019-02-21T15:00:00{% endblock %}
{% block timezone %}Eastern Standard Time{% endblock %}
{% block notify_before %}15{% endblock %}
"""
HEADERS = f"Authorization: {AUTHORIZATION}\nContent-Type: application/json"


def body(title: str = "T", *, before: str = "", event_id: str = "e1_{{${user_id}}}", **fields: str) -> str:
    """A body with one interesting field."""
    more = "".join(f', "{name}": "{text}"' for name, text in fields.items())
    rest = REST if "start" not in fields else '"timezone": "Europe/Berlin"'
    return f'{before}{{"event": {{"eventId": "{event_id}", "title": "{title}", {rest}{more}}}}}'


def block(imported: Imported, name: str) -> str:
    """What stands in a block of the template."""
    return imported.source.split("{% block " + name + " %}")[1].split("{% endblock %}")[0].strip()


def declared(imported: Imported, name: str) -> str:
    """A variable's line of the first comment, with single blanks."""
    [line] = [line for line in imported.source.split("#}")[0].splitlines() if line.split(" ")[0] == name]
    return " ".join(line.split())


def open_words(imported: Imported) -> str:
    return " | ".join(note.words for note in imported.open_notes)


@pytest.mark.parametrize(
    "text", [CREATE_BODY, UPDATE_BODY, FLAT_UPDATE_BODY], ids=["create", "update", "flat"]
)
def test_the_bodies_of_brazes_page_become_a_short_template_that_says_the_same(text: str) -> None:
    imported = import_here(text, name="page", url=URL, headers=HEADERS)

    assert imported.source == AS_A_MARKETER_WOULD_WRITE_IT
    assert imported.open_notes == []
    assert imported.is_alike


def test_the_update_of_the_page_is_told_to_be_an_upsert() -> None:
    imported = import_here(UPDATE_BODY, name="page", url=URL + "/update")

    assert imported.action == "update"
    assert any("upsert" in note.words and note.box == "URL" for note in imported.notes)


def test_token_and_subscriptions_are_told_to_be_the_bridges_own_work() -> None:
    imported = import_here(CREATE_BODY, name="page", url=URL, headers=HEADERS)

    told = {note.box: note.words for note in imported.notes if not note.is_open}
    assert "not needed" in told["headers"]
    assert "account_code" in told["URL"]
    assert any("subscription_ids" in note.words and note.line == 21 for note in imported.notes)


def test_the_line_numbers_of_a_copied_page_are_left_out() -> None:
    copied = "".join(f"{number}\n" for number in range(1, 23)) + CREATE_BODY

    imported = import_here(copied, name="page")

    assert imported.source == AS_A_MARKETER_WOULD_WRITE_IT
    assert "line numbers" in " ".join(note.words for note in imported.notes)


def test_a_missing_brace_and_a_comma_too_many_are_mended_and_told_with_their_line() -> None:
    text = '{\n "event": {\n  "eventId": "e1_{{${user_id}}}", "title": "T",\n  ' + REST + ",\n }\n"

    imported = import_here(text, name="n")

    words = {note.words: note.line for note in imported.notes}
    assert words["a comma stands before a closing brace: left out here"] == 4
    assert words["} is missing at the end of the JSON: mended here"] == 5
    assert imported.is_alike


def test_values_of_braze_become_variables_with_type_default_and_where_they_come_from() -> None:
    text = body(
        "{{${first_name} | default: 'you' | json_escape}}: {{event_properties.${Match Name} | upcase | json_escape}}",
        description=(
            "{% if custom_attribute.${points} > 99 %}{{custom_attribute.${points}}} points"
            "{% elsif custom_attribute.${vip} == true %}VIP{% endif %}"
        ),
        start="{{event_properties.${kickoff}}}",
        event_id="m_{{event_properties.${matchId}}}_{{${user_id}}}",
    )

    imported = import_here(text, name="n")

    assert declared(imported, "first_name") == 'first_name default "you" e.g. Ada (${first_name})'
    assert (
        declared(imported, "match_name")
        == 'match_name default "" e.g. Match name (event_properties.${Match Name})'
    )
    assert declared(imported, "points") == "points optional, number e.g. 99 (custom_attribute.${points})"
    assert declared(imported, "vip") == "vip optional, yes/no e.g. yes (custom_attribute.${vip})"
    assert declared(imported, "kickoff").startswith("kickoff required, time e.g. 2027-")
    assert declared(imported, "match_id").startswith("match_id required e.g.")
    assert block(imported, "title") == "{{ first_name }}: {{ match_name | upper }}"
    assert block(imported, "start") == "{{ kickoff }}"
    assert imported.is_alike, [case for case in imported.cases if case.differences]


@pytest.mark.parametrize(
    ("liquid", "jinja"),
    [
        ("{{custom_attribute.${n} | plus: 3}}", "{{ n | default(0) | plus(3) }}"),
        ("{{custom_attribute.${n} | divided_by: 7}}", "{{ n | default(0) | divided_by(7) | floor }}"),
        ("{{custom_attribute.${n} | number_with_delimiter}}", "{{ n | number if n is not blank }}"),
        ("{{custom_attribute.${t} | truncate: 10}}", '{{ t | truncate(10, true, "...") }}'),
        ("{{custom_attribute.${t} | slice: 0, 3}}", "{{ t[0:3] }}"),
        ("{{custom_attribute.${t} | append: '!' | json_escape}}", '{{ t | append("!") }}'),
        ("{{custom_attribute.${t} | split: '/' | first}}", '{{ t | split("/") | first | default("") }}'),
        ("{{custom_attribute.${l}[0]}}", '{{ (l | split(","))[0] | default("") }}'),
        ("{{custom_attribute.${l} | join: ' + '}}", '{{ l | split(",") | join(" + ") }}'),
        ("{{custom_attribute.${l} | size}}{{custom_attribute.${l}.first}}", '{{ l | split(",") | length }}'),
        ("{{event_properties.${at} | date: '%-d %B'}}", '{{ at | date("%-d %B") if at }}'),
        (
            "{% if event_properties.${a} %}{{event_properties.${a} | date: '%s' | plus: 60 | date: '%H'}}{% endif %}",
            '{% if a %}{{ a | plus(minutes=1) | date("%H") }}{% endif %}',
        ),
        (
            "{{'now' | time_zone: 'Asia/Tokyo' | date: '%H'}}",
            '{{ now | in_zone("Asia/Tokyo") | date("%H") }}',
        ),
        ("{{'now' | date: '%Y'}}", '{{ now | in_zone("UTC") | date("%Y") }}'),
        (
            "{% unless custom_attribute.${t} == blank %}A{% else %}B{% endunless %}",
            "{% if t %}A{% else %}B{% endif %}",
        ),
        ("{% if custom_attribute.${t} contains 'x' %}A{% endif %}", '{% if "x" in t %}A{% endif %}'),
        (
            "{% case {{${language}}} %}{% when 'de', 'at' %}D{% when 'fr' %}F{% else %}E{% endcase %}",
            '{% if language == "de" or language == "at" %}D{% elif language == "fr" %}F{% else %}E{% endif %}',
        ),
        (
            "{% for x in custom_attribute.${l} limit: 2 %}{{x}}{% unless forloop.last %},{% endunless %}{% endfor %}",
            '{% for x in (l | split(","))[:2] %}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}',
        ),
        (
            "{{event_properties.${a} | time_zone: 'Asia/Tokyo' | date: '%H'}}{{event_properties.${a} | date: '%H'}}",
            '{{ a | in_zone("UTC") | date("%H") if a }}',
        ),
        (
            "{% unless custom_attribute.${l} != blank %}{{custom_attribute.${l}.last}}{% endunless %}",
            "{% if not l %}",
        ),
        ("{% comment %}for later{% endcomment %}x", "{# for later #}x"),
        ("{{custom_attribute.${a} | default: custom_attribute.${b}}}", "{{ a | default(b) }}"),
        ("a {{ '{#' }} b", 'a {{ "{#" }} b'),
        (r"{% if ${first_name} %}a\nb{% endif %}", "{% if first_name %}a\nb{% endif %}"),
        (r"one\ntwo \"three\" \u00e9", 'one\ntwo "three" é'),
    ],
)
def test_each_part_of_liquid_has_its_words_and_says_the_same(liquid: str, jinja: str) -> None:
    imported = import_here(body(description=f"D {liquid}"), name="n")

    assert jinja in block(imported, "description")
    assert imported.open_notes == []
    assert [
        c.differences for c in imported.cases if c.differences and "no JSON" not in c.differences[0]
    ] == []


def test_a_body_of_its_own_for_each_language_becomes_one_template() -> None:
    de, en = body("Hallo", timezone="Europe/Berlin"), body("Hello", timezone="Europe/London")
    text = f"{{% if {{{{${{language}}}}}} == 'de' %}}{de}{{% else %}}{en}{{% endif %}}"

    imported = import_here(text, name="n")

    assert block(imported, "title") == '{% if language == "de" %}Hallo{% else %}Hello{% endif %}'
    assert block(imported, "start") == "2027-03-05T18:30:00"
    assert imported.is_alike


def test_what_stops_a_message_is_the_skip_block_but_for_what_the_bridge_asks_itself() -> None:
    stops = """\
{% assign ids = {{custom_attribute.${rokt:subscription_id}}} | default: '' | join: ',' %}
{% if ids == blank %}{% abort_message('no subscription') %}{% endif %}
{% if {{event_properties.${price}}} < 5 %}{% abort_message('too cheap') %}{% endif %}
{% if {{custom_attribute.${tier}}} == blank or {{${user_id}}} == blank %}{% abort_message('no tier') %}{% endif %}
"""

    imported = import_here(body(before=stops), name="n")

    assert block(imported, "skip") == (
        "{% if price is not blank and price < 5 %}too cheap{% elif not tier %}no tier{% endif %}"
    )
    assert "rokt" not in imported.source
    assert any(case.jinja.get("skip") == "too cheap" for case in imported.cases)
    assert imported.is_alike


def test_names_that_the_body_sets_stay_names_where_they_are_used_more_than_once() -> None:
    text = body(
        "{{ team }} play",
        before="{% case {{custom_attribute.${side}}} %}{% when 'a' %}{% assign team = 'Reds' %}"
        "{% else %}{% assign team = 'Blues' %}{% endcase %}",
        description="Go {{ team }}!",
    )

    imported = import_here(text, name="n")

    assert (
        '{% if side == "a" %}\n  {% set team = "Reds" %}\n{% else %}\n  {% set team = "Blues" %}\n{% endif %}'
        in (imported.source)
    )
    assert imported.is_alike


def test_a_loop_that_collects_says_the_same() -> None:
    loop = "{% for t in custom_attribute.${teams} %}{% assign all = all | append: t %}{% endfor %}"
    before = "{% assign all = '' %}" + loop

    imported = import_here(body("Your teams: {{ all }}", before=before), name="n")

    assert {case.jinja.get("title") for case in imported.cases} >= {
        "Your teams: Teams 1Teams 2",
        "Your teams: One",
    }
    assert imported.is_alike


@pytest.mark.parametrize(
    ("liquid", "told"),
    [
        ("{{content_blocks.${footer}}}", "kept in Braze"),
        ("{{${email_address} | sha2}}", "make it in the webhook's body"),
        ("{{${first_name} | wobble}}", 'the filter "wobble" has no equal'),
        ("{% cycle 'a', 'b' %}", 'the tag "cycle" has no equal'),
        ("{{ typo }}", '"typo" is set nowhere'),
    ],
)
def test_what_has_no_equal_is_told_with_its_line_and_stays_visible(liquid: str, told: str) -> None:
    imported = import_here(body(before="\n\n", description=f"A {liquid} B"), name="n")

    [note] = imported.open_notes
    assert told in note.words
    assert note.line == 3
    assert "{# Braze: " in block(imported, "description")


def test_a_hash_that_has_no_equal_does_not_print_what_it_was_to_hide() -> None:
    imported = import_here(body(description="Id {{${email_address} | sha2}}"), name="n")

    assert not any("@" in case.jinja.get("description", "") for case in imported.cases)


def test_a_call_of_connected_content_is_told_and_what_it_answers_is_a_variable() -> None:
    before = "{% connected_content https://api.example.com/w/{{${city}}} :save weather %}\n"

    imported = import_here(body("{{weather.main.temp}} degrees", before=before), name="n")

    assert "leave the call in the webhook" in open_words(imported)
    assert block(imported, "title") == "{{ weather_main_temp }} degrees"
    assert "(weather.main.temp)" in declared(imported, "weather_main_temp")


def test_an_event_id_without_the_user_is_told_as_its_events_will_be_others() -> None:
    imported = import_here(body(event_id="e1"), name="n")

    assert "does not end in _{{${user_id}}}" in open_words(imported)
    assert block(imported, "event_id") == "e1"


def test_names_that_a_translated_page_spoiled_are_told_with_the_right_ones() -> None:
    text = '{"event": {"eventId": "e_{{${user_id}}}", "titre": "T", "départ": "2027-01-01T09:00"}}'

    imported = import_here(text, name="n")

    assert 'did you mean "title"?' in open_words(imported)
    assert 'did you mean "start"?' in open_words(imported)


def test_what_differs_is_told_with_both_texts() -> None:
    """Braze's own first word is a hash of nothing; the template's is not there."""
    imported = import_here(body("Hi{{${first_name} | md5}}"), name="n")

    assert not imported.is_alike
    assert any("title: Braze sends" in words for case in imported.cases for words in case.differences)


def test_a_quote_in_a_name_breaks_brazes_body_and_not_the_template() -> None:
    imported = import_here(body("Hi {{${first_name}}}"), name="n")

    [case] = [case for case in imported.cases if case.differences]
    assert "json_escape is missing" in case.differences[0]
    assert case.jinja["title"] == 'Hi Anna "Ann" Back\\slash'


def test_the_samples_say_what_another_reading_of_brazes_liquid_says() -> None:
    """The comparison is only as good as its Liquid: the tests' own, written apart from it, is asked too."""
    text = body(
        "{{${first_name} | default: 'you' | json_escape}}", description="{{custom_attribute.${tier}}}!"
    )
    template = compile_template("n", {"n": import_here(text, name="n").source})

    user = User("u-1", {"tier": "gold"})
    sent = Braze().render(text.replace("${first_name}", "custom_attribute.${name}"), user)

    assert '"title": "you"' in sent
    assert '"description": "gold!"' in sent
    from datetime import UTC, datetime

    rendered = template.render({"first_name": "", "tier": "gold"}, datetime.now(UTC))
    assert rendered.fields["title"] == "you"
    assert rendered.fields["description"] == "gold!"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("x\n{% assigner a = 1 %}", 2, 'did you mean "assign"?'),
        ("\n{{ x ", 2, "is not closed"),
        ("{% endif %}", 1, "wrong place"),
        ("{% if a %}{% if b %}{% endif %}", None, "{% if %} stands there 2 times, {% endif %} 1 times"),
        ("{{ “x” }}", 1, "curly quotes"),
        ('{% assign a = 1 %}\n{"event": {"title": "a" "start": "b"}}', 2, "no JSON"),
        ("Hello {{${first_name}}}", None, "no body for Rokt Calendar"),
        ('{"foo": 1}', None, "no body for Rokt Calendar"),
        ("  ", None, "blank"),
        ("x" * 70_000, None, "70,000 characters"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, line: int | None, words: str) -> None:
    with pytest.raises(LiquidFault) as fault:
        import_here(text, name="n")

    assert words in fault.value.words
    assert fault.value.line == line


def test_a_child_process_gives_the_whole_answer() -> None:
    assert import_liquid(CREATE_BODY, name="page", url=URL) == import_here(CREATE_BODY, name="page", url=URL)


def test_a_child_process_hands_a_fault_on_with_its_line() -> None:
    with pytest.raises(LiquidFault, match="did you mean") as fault:
        import_liquid("\n{% iff x %}", name="n")

    assert (fault.value.line, fault.value.box) == (2, "body")


@pytest.mark.parametrize(
    "text",
    [
        "{%" * 30_000,
        "{{${" * 16_000,
        "{% for a in (1..9000) %}{% for b in (1..9000) %}x{% endfor %}{% endfor %}" + body(),
        body(before="{% assign x = 'aaaaaaaaaa' %}" + "{% assign x = x | append: x %}" * 40, title="{{ x }}"),
        body("{% if a %}x{% else %}" * 25 + "{% endif %}" * 25),
    ],
    ids=["open tags", "open outputs", "loops", "doubling", "depth"],
)
def test_what_was_pasted_to_do_harm_ends(text: str) -> None:
    try:
        imported = import_liquid(text, name="n")
    except LiquidFault:
        return
    assert not imported.is_alike
