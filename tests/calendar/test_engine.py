from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.calendar.engine import BLOCKS, Rendered, TemplateFault, check_piece, compile_template

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SUMMER_SALE = """{#
A sale, in the calendar at the customer's own time; opens one hour before.

sale_id    required             e.g. winter26
starts     required, time       e.g. 2026-12-04T09:00
first_name default ""           e.g. Ada
discount   required, number     e.g. 50
vip        yes/no, default no
time_zone  default "Eastern Standard Time"   e.g. Europe/Berlin
#}
{% extends "_brand" %}
{% set opens = starts | minus(hours=2 if vip else 0) %}
{% block skip %}{% if discount < 5 %}discount under 5 %{% endif %}{% endblock %}
{% block event_id %}sale_{{ sale_id }}{% endblock %}
{% block title %}{% if first_name %}{{ first_name }}, {% endif %}{{ discount }}% off starts now{% endblock %}
{% block location %}Open for your {{ discount }}% code{% endblock %}
{% block description %}
{% if vip %}You are in two hours before everybody else.{% endif %}
Until {{ starts | plus(days=2) | date("%A %-d %B, %H:%M") }}.
{{ "https://www.example.com/sale" | link(campaign=sale_id) }}
{% endblock %}
{% block start %}{{ opens }}{% endblock %}
{% block end %}{{ opens | plus(minutes=30) }}{% endblock %}
{% block timezone %}{{ time_zone }}{% endblock %}
{% block notify_before %}60{% endblock %}
"""
SALE = {
    "sale_id": "winter26",
    "starts": "2026-12-04T09:00",
    "first_name": "Ada",
    "discount": "50",
    "vip": "false",
    "time_zone": "",
}
BRAND = {"_brand": "{% block description %}{% endblock %}{% block timezone %}UTC{% endblock %}"}
LINK = "https://www.example.com/sale?utm_source=rokt_calendar&utm_medium=calendar&utm_campaign=winter26"


def sale(source: str = SUMMER_SALE, **variables: object) -> Rendered:
    return compile_template("summer_sale", {"summer_sale": source, **BRAND}).render(
        {**SALE, **variables}, NOW
    )


def event(*, declare: str = "", top: str = "", pieces: dict[str, str] | None = None, **blocks: str) -> Any:
    """A compiled template with the blocks given, and with such as every event needs."""
    whole = {
        "event_id": "e-1",
        "title": "t",
        "start": "2026-12-04T09:00",
        "timezone": "Europe/Berlin",
        **blocks,
    }
    body = "\n".join(f"{{% block {name} %}}{text}{{% endblock %}}" for name, text in whole.items())
    comment = f"{{#\nWhat it is for.\n\n{declare}\n#}}\n"
    return compile_template("event", {"event": comment + top + body, **(pieces or {})})


def text(description: str, *, declare: str = "", top: str = "", **variables: object) -> str:
    template = event(declare=declare, top=top, description=description)
    return str(template.render(variables, NOW).fields["description"])


def fault(make: Any, *args: Any, **named: Any) -> TemplateFault:
    with pytest.raises(TemplateFault) as refused:
        make(*args, **named)
    return refused.value


class TestTheSample:
    def test_each_block_becomes_a_field(self) -> None:
        assert dict(sale().fields) == {
            "event_id": "sale_winter26",
            "title": "Ada, 50% off starts now",
            "location": "Open for your 50% code",
            "description": f"Until Sunday 6 December, 09:00.\n{LINK}",
            "start": "2026-12-04T09:00:00-05:00",
            "end": "2026-12-04T09:30:00-05:00",
            "timezone": "Eastern Standard Time",
            "notify_before": "60",
        }

    def test_a_vip_is_in_two_hours_before(self) -> None:
        fields = sale(vip="yes", time_zone="Europe/Berlin").fields

        assert fields["start"] == "2026-12-04T07:00:00+01:00"
        assert fields["description"].splitlines()[0] == "You are in two hours before everybody else."

    def test_a_missing_name_prints_no_name(self) -> None:
        assert sale(first_name="").fields["title"] == "50% off starts now"
        assert sale(first_name=None).fields["title"] == "50% off starts now"

    def test_a_skip_that_prints_something_stops_the_event(self) -> None:
        skipped = sale(discount="4.5")

        assert skipped.skip == "discount under 5 %"
        assert dict(skipped.fields) == {"event_id": "sale_winter26"}

    def test_it_says_what_it_is_for_and_what_it_is_made_of(self) -> None:
        template = compile_template("summer_sale", {"summer_sale": SUMMER_SALE, **BRAND, "_other": ""})

        assert template.purpose.startswith("A sale, in the calendar")
        assert template.pieces == {"_brand"}
        assert {variable.name for variable in template.variables} == set(SALE)

    def test_its_examples_make_a_preview(self) -> None:
        template = compile_template("summer_sale", {"summer_sale": SUMMER_SALE, **BRAND})

        assert template.examples()["time_zone"] == "Europe/Berlin"
        assert template.render(template.examples(), NOW).fields["start"] == "2026-12-04T09:00:00+01:00"


class TestExamples:
    @pytest.mark.parametrize(
        ("declare", "expected"),
        [
            ("x required e.g. Ada", "Ada"),
            ("x default Ada", "Ada"),
            ("x default Ada e.g. Bo", "Bo"),
            ("x text", ""),
            ("x required, number", "1"),
            ("x required, day", "2026-12-15"),
            ("x required, one of b, a", "b"),
            ('x required e.g. ["Hat", "Scarf"]', ["Hat", "Scarf"]),
            ('x required e.g. {"name": "Hat"}', {"name": "Hat"}),
            ("x required e.g. [not JSON", "[not JSON"),
        ],
    )
    def test_an_example_is_what_the_comment_says(self, declare: str, expected: object) -> None:
        assert event(declare=declare).examples() == {"x": expected}

    @pytest.mark.parametrize(
        "blocks",
        [
            {"title": "{{ x }}"},
            {"timezone": "{{ x }}"},
            {"start": "{{ x }}"},
            {"title": "{{ x | money('EUR') }}"},
            {"title": "{{ x | date('%A') }}"},
            {"title": "{{ x | link(campaign='c') }}"},
            {"title": "{% for y in x %}{{ y }}{% endfor %}"},
        ],
    )
    def test_a_name_without_one_gets_an_example_that_fits_its_use(self, blocks: dict[str, str]) -> None:
        template = event(**blocks)

        assert template.render(template.examples(), NOW).fields["title"]


class TestZones:
    def test_a_time_without_an_offset_is_in_the_events_zone(self) -> None:
        template = event(
            declare="at required, time\nzone required",
            start="{{ at }}",
            timezone="{{ zone }}",
            top="{% set later = at | plus(hours=1) %}",
            description="{{ later }}",
        )

        fields = template.render({"at": "2026-12-04T09:00", "zone": "America/Los_Angeles"}, NOW).fields

        assert fields["start"] == "2026-12-04T09:00:00-08:00"
        assert fields["description"] == "2026-12-04T10:00:00-08:00"

    def test_a_time_with_an_offset_keeps_its_instant(self) -> None:
        assert text("{{ at }}", declare="at time", at="2026-12-04T09:00Z") == "2026-12-04T10:00:00+01:00"

    def test_the_zone_may_depend_on_a_set_that_needs_no_time(self) -> None:
        template = event(
            declare="country required\nat required, time",
            top='{% set zones = {"DE": "Europe/Berlin", "US": "Eastern Standard Time"} %}'
            "{% set zone = zones[country] %}{% set opens = at | minus(hours=1) %}",
            timezone="{{ zone }}",
            start="{{ opens }}",
        )

        assert template.render({"country": "US", "at": "2026-12-04T09:00"}, NOW).fields["start"] == (
            "2026-12-04T08:00:00-05:00"
        )

    @pytest.mark.parametrize(
        ("top", "timezone"),
        [
            ("", '{% if at | date("%H") == "09" %}UTC{% endif %}'),
            ("", "{{ at }}"),
            ("", "{% if at > now %}UTC{% endif %}"),
            ("", '{% if now | date("%Y") == "2026" %}UTC{% endif %}'),
            ("", '{{ "UTC" if (day | at("09:00")) else "" }}'),
            ('{% set hour = at | date("%H") %}', "{% if hour %}UTC{% endif %}"),
            ("{% set a = at %}{% set b = a %}", "{% if b.hour == 9 %}UTC{% endif %}"),
            ("{% macro zone() %}{{ at }}{% endmacro %}", "{{ zone() }}"),
            ("", "{{ self.start() }}"),
        ],
    )
    def test_a_timezone_that_depends_on_a_times_zone_is_refused_by_name(
        self, top: str, timezone: str
    ) -> None:
        refused = fault(
            event,
            declare="at required, time\nday required, day",
            top=top,
            timezone=timezone,
            start="{{ at }}",
        )

        assert refused.field == "timezone"
        assert refused.cause == "timezone depends on a time"
        assert any(f'"{name}"' in str(refused) for name in ("at", "now"))
        assert refused.line is not None

    def test_a_timezone_may_ask_whether_a_time_was_given(self) -> None:
        template = event(declare="at time", timezone="{{ 'UTC' if at else 'Europe/Berlin' }}")

        assert template.render({"at": "2026-12-04T09:00"}, NOW).fields["timezone"] == "UTC"
        assert template.render({}, NOW).fields["timezone"] == "Europe/Berlin"

    def test_a_text_read_as_a_time_in_the_timezone_is_refused_when_it_is_rendered(self) -> None:
        template = event(timezone='{{ "2026-12-04T09:00" | date("%Z") }}')

        refused = fault(template.render, {}, NOW)

        assert refused.field == "timezone"
        assert "zone is known" in str(refused)

    def test_an_unknown_zone_is_refused_with_the_nearest(self) -> None:
        refused = fault(event(timezone="Europe/Berlinn").render, {}, NOW)

        assert (refused.template, refused.field, refused.cause) == ("event", "timezone", "wrong value")
        assert "Europe/Berlin" in str(refused)
        assert refused.line == 9

    def test_a_blank_zone_is_refused(self) -> None:
        assert fault(event(declare="z text", timezone="{{ z }}").render, {}, NOW).cause == "no timezone"

    def test_a_time_in_the_spring_gap_is_refused_by_name(self) -> None:
        refused = fault(text, "{{ at }}", declare="at required, time", at="2026-03-29T02:30")

        assert refused.field == "variables.at"
        assert "2026-03-29T02:30" in str(refused)
        assert refused.line == 4

    def test_two_threads_with_different_zones_do_not_mix(self) -> None:
        template = compile_template("summer_sale", {"summer_sale": SUMMER_SALE, **BRAND})
        zones = {
            "Europe/Berlin": "+01:00",
            "Asia/Kolkata": "+05:30",
            "America/New_York": "-05:00",
            "UTC": "+00:00",
        }
        start = Barrier(8)

        def render(zone: str) -> set[str]:
            start.wait(10)
            return {
                template.render({**SALE, "time_zone": zone, "first_name": zone}, NOW).fields[name][tail:]
                for _ in range(50)
                for name, tail in (("start", -6), ("title", 0))
            }

        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(render, [*zones, *zones]))

        expected = [{offset, f"{zone}, 50% off starts now"} for zone, offset in zones.items()]
        assert found == expected * 2


class TestSets:
    def test_a_set_at_the_top_is_seen_by_all_blocks(self) -> None:
        template = event(top="{% set greeting = 'Hi' %}", title="{{ greeting }}", location="{{ greeting }}")

        fields = template.render({}, NOW).fields

        assert (fields["title"], fields["location"]) == ("Hi", "Hi")

    def test_a_set_of_a_shared_piece_is_seen_by_the_template_that_extends_it(self) -> None:
        template = event(
            top='{% extends "_base" %}{% set both = brand ~ "!" %}',
            pieces={"_base": '{% set brand = "Acme" %}'},
            title="{{ brand }}",
            location="{{ both }}",
        )

        fields = template.render({}, NOW).fields

        assert (fields["title"], fields["location"]) == ("Acme", "Acme!")

    def test_a_templates_own_set_wins_over_that_of_the_piece_it_extends(self) -> None:
        template = event(
            top='{% extends "_base" %}{% set brand = "Ours" %}',
            pieces={"_base": '{% set brand = "Acme" %}{% block location %}{{ brand }}{% endblock %}'},
        )

        assert template.render({}, NOW).fields["location"] == "Ours"

    def test_a_variable_may_be_set_anew(self) -> None:
        template = event(declare="n required, number", top="{% set n = n + 5 %}", title="{{ n }}")

        assert template.render({"n": "1"}, NOW).fields["title"] == "6"

    def test_a_piece_that_may_be_missing_is_left_out(self) -> None:
        template = event(title='a{% include "_none" ignore missing %}')

        assert template.render({}, NOW).fields["title"] == "a"

    def test_sets_in_a_condition_hold_times_in_the_zone(self) -> None:
        top = "{% if vip %}{% set opens = at | minus(hours=2) %}{% else %}{% set opens = at %}{% endif %}"

        template = event(declare="at time\nvip yes/no", top=top, description="{{ opens }}")

        assert template.render({"at": "2026-12-04T09:00", "vip": "1"}, NOW).fields["description"] == (
            "2026-12-04T07:00:00+01:00"
        )

    def test_a_captured_set_a_macro_and_an_include_see_the_variables(self) -> None:
        template = event(
            declare="name required",
            top="{% set hello %}\n  Hello {{ name }}\n{% endset %}{% macro twice(x) %}{{ x }} {{ x }}{% endmacro %}",
            pieces={"_footer": "Yours, {{ name }}", "_macros": "{% macro hi() %}Hi {{ name }}{% endmacro %}"},
            title="{{ hello | trim }}",
            location="{{ twice(name) }}",
            description='{% include "_footer" %}{% from "_macros" import hi %} {{ hi() }}',
        )

        fields = template.render({"name": "Ada"}, NOW).fields

        assert fields["title"] == "Hello Ada"
        assert fields["location"] == "Ada Ada"
        assert fields["description"] == "Yours, Ada Hi Ada"
        assert template.pieces == {"_footer", "_macros"}

    def test_super_and_self_print_other_blocks(self) -> None:
        template = event(
            top='{% extends "_base" %}',
            pieces={"_base": "{% block description %}Read more.{% endblock %}"},
            description="{{ self.title() }}: {{ super() }}",
        )

        assert template.render({}, NOW).fields["description"] == "t: Read more."

    def test_a_piece_may_have_a_block_within_a_field_for_others_to_fill(self) -> None:
        base = "{% block description %}Dear {% block name %}customer{% endblock %}!{% endblock %}"
        frame = "{% block event_id %}e{% endblock %}{% block title %}t{% endblock %}{% block start %}s{% endblock %}"
        own = '{% extends "_base" %}{% block name %}Ada{% endblock %}{% block timezone %}UTC{% endblock %}'

        template = compile_template("event", {"event": own + frame, "_base": base})

        assert template.render({}, NOW).fields["description"] == "Dear Ada!"


class TestWhiteSpace:
    @pytest.mark.parametrize(
        ("written", "printed"),
        [
            ("\n  a  \n", "a"),
            ("\n{% if vip %}Early.{% endif %}\nOpen.\n", "Open."),
            ("\n  {% if vip %}Early.{% endif %}  \nOpen.\n", "Open."),
            ("\nA\n{% if vip %}Early.{% endif %}\nB", "A\nB"),
            ("\nA\n\n{% if vip %}Early.{% endif %}\nB", "A\n\nB"),
            ("\nA\n\n\nB", "A\n\n\nB"),
            ("A\n{% set x = 1 %}\nB", "A\nB"),
            ("A\n{# a note #}\nB", "A\nB"),
            ("A {# a note #}\nB", "A \nB"),
            ("A\n  {% if vip %}Early.{% endif %} {{ nothing }} \nB", "A\nB"),
            ("A\n{# a\nlong\nnote #}\nB", "A\nB"),
            ("A\n{{ nothing }}\nB", "A\nB"),
            ("A\n- {{ nothing }}\nB", "A\n- \nB"),
            ("A\n{{ nothing }}{{ yes }}\nB", "A\nyes\nB"),
            ("{% if yes %}\nA\n{% endif %}\nB", "A\nB"),
            ("{% if not yes %}\nA\n{% else %}\nC\n{% endif %}\nB", "C\nB"),
            ("{% if yes %}A\n{% elif vip %}C\n{% else %}D{% endif %}\nB", "A\nB"),
            ("{% if vip %}A\n{% elif yes %}C\n{% else %}D{% endif %}\nB", "C\nB"),
            ("{% if vip %}A\n{% elif vip %}C\n{% else %}D{% endif %}\nB", "D\nB"),
            ("{% for x in [1, 2] %}\n- {{ x }}\n{% endfor %}\nB", "- 1\n- 2\nB"),
            ("{% for x in [1, 2] %}{{ x }}, {% endfor %}\nB", "1, 2, \nB"),
            ("{% for x in [1, 2] %}\n\n{{ x }}\n{% endfor %}B", "1\n\n2\nB"),
            ("{% if yes -%}\n  A\n{%- endif %}\nB", "A\nB"),
            ("A\r\n{% if vip %}Early.{% endif %}\r\nB\r\n", "A\nB"),
            ("{{ lines }}\nB", "one\n\ntwo\nB"),
            ("A\n{{ lines }}\nB", "A\none\n\ntwo\nB"),
            ("A{% set x %}\n{% if yes %}\n  B\n{% endif %}\n{% endset %}{{ x }}C", "A  BC"),
            ("{% filter upper %}\na\n{% if vip %}b{% endif %}\n{% endfilter %}\nc", "A\nc"),
            ("{% set sep %}, {% endset %}a{{ sep }}b", "a, b"),
        ],
    )
    def test_a_line_that_held_only_tags_and_printed_nothing_goes(self, written: str, printed: str) -> None:
        declare = 'vip yes/no, default no\nyes default yes\nnothing default ""\nlines text'

        assert text(written, declare=declare, lines="one\n\ntwo") == printed

    @pytest.mark.parametrize(
        ("status", "confirmed", "printed"),
        [
            ("cancelled", "yes", "Not played.\nEnd."),
            ("moved", "no", "To be confirmed.\nEnd."),
            ("moved", "yes", "Kick-off at eight.\nEnd."),
        ],
    )
    def test_a_condition_over_several_lines_prints_one_line(
        self, status: str, confirmed: str, printed: str
    ) -> None:
        written = (
            '\n{% if status == "cancelled" %}Not played.\n{% elif not confirmed %}To be confirmed.\n'
            "{% else %}Kick-off at eight.{% endif %}\nEnd.\n"
        )

        declare = "status one of moved, cancelled\nconfirmed yes/no"
        assert text(written, declare=declare, status=status, confirmed=confirmed) == printed

    def test_a_blank_optional_field_is_left_out_but_a_description_is_emptied(self) -> None:
        fields = (
            event(notify_before=" ", expires="{# later #}", description=" \n ", location="")
            .render({}, NOW)
            .fields
        )

        assert "notify_before" not in fields
        assert "expires" not in fields
        assert fields["description"] == ""
        assert fields["location"] == ""

    @pytest.mark.parametrize("block", ["event_id", "title", "start"])
    def test_a_blank_field_that_every_event_needs_is_refused(self, block: str) -> None:
        refused = fault(event(declare="x text", **{block: "{{ x }}"}).render, {}, NOW)

        assert (refused.field, refused.cause, refused.template) == (block, f"no {block}", "event")
        assert refused.line is not None


class TestValues:
    @given(st.text(min_size=1).filter(str.strip))
    def test_any_text_arrives_unharmed(self, name: str) -> None:
        assert NAMED.render({"first_name": name}, NOW).fields["title"] == f"«{name}»"

    @pytest.mark.parametrize(
        "name",
        [
            '"',
            "'",
            "\\",
            "a\nb",
            "{{ 7*7 }}",
            "{% raw %}",
            "O’Neill",
            "👩‍👩‍👧‍👦",
            "עברית",
            "مرحبا",
            "a" * 10_000,
            "<b>&amp;",
        ],
    )
    def test_a_name_that_could_break_json_or_a_template_arrives_unharmed(self, name: str) -> None:
        assert NAMED.render({"first_name": name}, NOW).fields["title"] == f"«{name}»"

    @pytest.mark.parametrize(
        ("given", "printed"),
        [
            ("50", "50"),
            ("50.0", "50"),
            (" 12.50 ", "12.5"),
            ("1,249.50", "1249.5"),
            ("-3", "-3"),
            ("0.1", "0.1"),
            ("1e3", "1000"),
            (50, "50"),
            (50.0, "50"),
            (0.1, "0.1"),
            ("1000000", "1000000"),
            ("0", "0"),
        ],
    )
    def test_a_number_prints_as_it_was_meant(self, given: object, printed: str) -> None:
        assert text("{{ n }}", declare="n required, number", n=given) == printed

    @pytest.mark.parametrize(
        "given",
        [
            "abc",
            "12,5",
            "1.249,50",
            "50%",
            "$50",
            "1 000",
            "NaN",
            "Infinity",
            "1e99",
            "٣",
            "0x10",
            "--1",
            True,
            [],
            {},
        ],
    )
    def test_what_is_not_a_number_is_refused_by_name(self, given: object) -> None:
        refused = fault(text, "{{ n }}", declare="n required, number", n=given)

        assert (refused.field, refused.cause, refused.line) == ("variables.n", "wrong value", 4)
        assert str(refused).startswith("event.jinja, line 4: n: ")

    @pytest.mark.parametrize("given", ["yes", "YES", "true", "True", "1", "on", True, 1])
    def test_yes_is_true(self, given: object) -> None:
        assert text("{{ v }}{% if v %}!{% endif %}", declare="v required, yes/no", v=given) == "yes!"

    @pytest.mark.parametrize("given", ["no", "false", "False", "0", "off", False, 0])
    def test_no_and_false_are_false(self, given: object) -> None:
        assert text("{{ v }}{% if v %}!{% endif %}", declare="v required, yes/no", v=given) == "no"

    def test_what_is_neither_yes_nor_no_is_refused(self) -> None:
        assert "maybe" in str(fault(text, "{{ v }}", declare="v yes/no", v="maybe"))

    def test_a_day_prints_as_it_is_written(self) -> None:
        assert text("{{ d }} {{ d.year }}", declare="d day", d="2026-12-15") == "2026-12-15 2026"

    def test_an_impossible_day_is_refused_by_name(self) -> None:
        assert fault(text, "{{ d }}", declare="d day", d="2026-02-30").field == "variables.d"

    def test_one_of_takes_its_choices_in_any_case(self) -> None:
        assert text("{{ s }}", declare="s one of Moved, cancelled", s="MOVED ") == "Moved"

    def test_another_choice_is_refused_with_the_nearest(self) -> None:
        refused = fault(text, "{{ s }}", declare="s one of moved, cancelled", s="canceled")

        assert 'did you mean "cancelled"?' in str(refused)

    @pytest.mark.parametrize(
        ("given", "printed"), [(5, "5"), (5.5, "5.5"), (True, "true"), (False, "false"), ("false", "false")]
    )
    def test_a_json_value_becomes_text_where_text_is_declared(self, given: object, printed: str) -> None:
        assert text("{{ t }}", declare="t text", t=given) == printed

    def test_a_list_and_an_object_can_be_sent_and_looked_into(self) -> None:
        description = "{% for x in items %}{{ x.name }} {{ x.price }}{{ ', ' if not loop.last }}{% endfor %}"
        items = [{"name": "Hat", "price": 9.5}, {"name": "Scarf", "price": 20}]

        assert text(description, declare="items required", items=items) == "Hat 9.5, Scarf 20"

    def test_a_list_is_not_printed_as_it_is(self) -> None:
        assert "join" in str(fault(text, "{{ items }}", items=[1, 2]))

    @pytest.mark.parametrize("blank", ["", "   ", "\n", None])
    def test_a_blank_counts_as_missing(self, blank: object) -> None:
        declare = "a default b\nc text\nn number\nt time"
        description = (
            '{{ a }}{% if c %}!{% endif %}{{ n | default("none") }}{% if t %}!{% endif %}{{ c }}{{ t }}'
        )

        assert text(description, declare=declare, a=blank, c=blank, n=blank, t=blank) == "bnone"
        assert text(description, declare=declare) == "bnone"

    @pytest.mark.parametrize("blank", ["", " ", None])
    def test_a_blank_required_variable_is_refused_by_name(self, blank: object) -> None:
        refused = fault(text, "{{ a }}", declare="b text\na required", a=blank)

        assert (refused.field, refused.cause, refused.line) == ("variables.a", "missing variable", 5)
        assert str(refused) == 'event.jinja, line 5: "a" is required and is blank'

    def test_a_blank_number_is_not_zero(self) -> None:
        for use in ("n + 1", "n * 2", "n > 0", "-n", "n | round", "n | money('EUR')", "n | plus(1)"):
            refused = fault(text, f"{{{{ {use} }}}}", declare="n number")
            assert refused.cause == "missing variable", use
            assert '"n" is blank' in str(refused)


NAMED = compile_template(
    "named",
    {
        "named": '{#\nNames.\n\nfirst_name default "" e.g. Ada\n#}{% block event_id %}e{% endblock %}'
        "{% block title %}\n«{{ first_name }}»\n{% endblock %}{% block start %}2026-12-04{% endblock %}"
        "{% block timezone %}UTC{% endblock %}"
    },
)


class TestNames:
    def test_an_undeclared_variable_is_text_and_required(self) -> None:
        template = event(title="{{ nickname }}")

        [variable] = template.variables

        assert (variable.name, variable.type, variable.required, variable.is_declared) == (
            "nickname",
            "text",
            True,
            False,
        )
        assert template.render({"nickname": "Al"}, NOW).fields["title"] == "Al"

    def test_an_undeclared_name_that_was_not_sent_is_refused_with_the_nearest(self) -> None:
        source = SUMMER_SALE.replace("{{ discount }}% code", "{{ discont }}% code")

        refused = fault(sale, source)

        assert (refused.template, refused.line, refused.field) == ("summer_sale", 16, "variables.discont")
        assert refused.cause == "unknown name"
        assert str(refused).startswith(
            'summer_sale.jinja, line 16: "discont" is not declared; did you mean "discount"?'
        )

    def test_an_undeclared_name_that_was_sent_blank_is_missing(self) -> None:
        assert fault(event(title="{{ x }}").render, {"x": ""}, NOW).cause == "missing variable"

    def test_a_variable_that_nobody_uses_is_refused_with_the_nearest(self) -> None:
        refused = fault(sale, discuont="50")

        assert (refused.field, refused.cause) == ("variables.discuont", "unknown variable")
        assert 'did you mean "discount"?' in str(refused)

    def test_a_name_that_is_only_set_elsewhere_is_refused_where_it_is_used(self) -> None:
        template = event(
            declare="vip yes/no", top="{% if vip %}{% set early = 1 %}{% endif %}", title="{{ early }}"
        )

        refused = fault(template.render, {}, NOW)

        assert (refused.cause, refused.field) == ("unknown name", "title")

    def test_a_name_that_was_not_set_cannot_even_be_asked_for(self) -> None:
        top = "{% if vip %}{% set early = 1 %}{% endif %}"

        refused = fault(
            event(declare="vip yes/no", top=top, title="{% if early %}a{% endif %}").render, {}, NOW
        )

        assert refused.cause == "unknown name"

    def test_a_block_that_is_replaced_needs_no_variables(self) -> None:
        pieces = {"_base": "{% block location %}{{ shop }}{% endblock %}"}

        assert event(top='{% extends "_base" %}', pieces=pieces, location="here").variables == ()

    def test_a_shared_pieces_declaration_counts(self) -> None:
        base = "{#\nThe house style.\n\nshop default Acme\n#}{% block location %}{{ shop }}{% endblock %}"

        template = event(top='{% extends "_base" %}', pieces={"_base": base})

        assert [variable.name for variable in template.variables] == ["shop"]
        assert template.render({}, NOW).fields["location"] == "Acme"

    def test_a_missing_key_has_a_default_but_does_not_print(self) -> None:
        prices = 'prices = {"basic": 5, "plus": 9}'

        assert text(f'{{% set {prices} %}}{{{{ prices["gold"] | default("ask us") }}}}') == "ask us"
        assert text(f"{{% set {prices} %}}{{% if prices.gold %}}a{{% else %}}b{{% endif %}}") == "b"
        refused = fault(text, f"{{% set {prices} %}}{{{{ prices.plsu }}}}")
        assert 'did you mean "plus"?' in str(refused)


class TestFaultsBeforeRendering:
    @pytest.mark.parametrize(
        ("blocks", "cause", "field", "words"),
        [
            ({"titel": "x"}, "unknown block", "titel", 'did you mean "title"?'),
            ({"title": "{{ x | upcas }}"}, "unknown filter", "title", 'did you mean "upcase"?'),
            ({"title": "{{ x is defind }}"}, "unknown test", "title", 'did you mean "defined"?'),
            ({"title": "{{ rnage(3) }}"}, "unknown name", "title", 'did you mean "range"?'),
            ({"title": "{{ now | plus(hour=2) }}"}, "wrong argument", "title", 'did you mean "hours"?'),
            ({"title": "{{ x | shorten }}"}, "wrong argument", "title", "length"),
            ({"title": "{{ x | upper(1, 2) }}"}, "wrong argument", "title", "too many"),
            ({"title": '{% include "_foter" %}'}, "unknown piece", "template", 'did you mean "_footer"?'),
            ({"title": "{{ self.titel() }}"}, "unknown block", "title", 'did you mean "title"?'),
            ({"title": "{{ x | int }}"}, "unknown filter", "title", "declare the variable as a number"),
            ({"title": "{{ x | date: '%A' }}"}, "template syntax", "template", "brackets"),
            ({"title": "{{ ${first_name} }}"}, "template syntax", "template", "Braze"),
            ({"title": "{% assign x = 1 %}"}, "template syntax", "template", "{% set"),
            ({"title": "{% elsif x %}"}, "template syntax", "template", "{% elif"),
            ({"title": "{% forr x in y %}"}, "template syntax", "template", 'did you mean "for"?'),
            ({"title": "{% if x %}"}, "template syntax", "template", "endif"),
            ({"title": "{{ x "}, "template syntax", "template", ""),
            ({"title": "{{ loop.index }}"}, "unknown name", "title", '"loop"'),
        ],
    )
    def test_a_mistake_names_its_place_and_the_nearest_name(
        self, blocks: dict[str, str], cause: str, field: str, words: str
    ) -> None:
        refused = fault(event, pieces={"_footer": "f"}, **blocks)

        assert (refused.template, refused.cause, refused.field) == ("event", cause, field)
        assert words in str(refused)
        assert refused.line is not None
        assert str(refused).startswith(f"event.jinja, line {refused.line}: ")

    def test_a_mistake_in_a_shared_piece_names_the_piece(self) -> None:
        refused = fault(
            event,
            top='{% extends "_base" %}',
            pieces={"_base": "\n{% block location %}\n{{ x | nope }}{% endblock %}"},
        )

        assert (refused.template, refused.line, refused.field) == ("_base", 3, "location")

    @pytest.mark.parametrize("block", ["event_id", "title", "start", "timezone"])
    def test_a_block_that_every_event_needs_has_to_be_there(self, block: str) -> None:
        source = SUMMER_SALE.replace(f"block {block} ", "block end ")
        source = source.replace("{% block end %}{{ opens | plus(minutes=30) }}{% endblock %}\n", "")

        refused = fault(compile_template, "summer_sale", {"summer_sale": source, "_brand": ""})

        assert (refused.field, refused.cause) == (block, f"no {block}")

    def test_a_shared_piece_is_no_event(self) -> None:
        assert "_brand" in str(fault(compile_template, "_brand", BRAND))

    def test_an_unknown_template_is_refused_with_the_nearest(self) -> None:
        refused = fault(compile_template, "sumer_sale", {"summer_sale": SUMMER_SALE, **BRAND})

        assert refused.cause == "unknown template"
        assert 'did you mean "summer_sale"?' in str(refused)

    @pytest.mark.parametrize(
        ("pieces", "top"),
        [
            (
                {"_a": '{% include "_b" %}', "_b": '{% include "_a" %}'},
                '{% set x %}{% include "_a" %}{% endset %}',
            ),
            ({"_a": '{% extends "_b" %}', "_b": '{% extends "_a" %}'}, '{% extends "_a" %}'),
            ({"_a": '{% import "_a" as a %}'}, '{% import "_a" as a %}'),
        ],
    )
    def test_a_piece_that_includes_itself_is_refused(self, pieces: dict[str, str], top: str) -> None:
        assert "itself" in str(fault(event, top=top, pieces=pieces))

    @pytest.mark.parametrize(
        ("top", "pieces"),
        [
            ('{% extends "_a" %}{% extends "_a" %}', {"_a": ""}),
            ('{% if 1 %}{% extends "_a" %}{% endif %}', {"_a": ""}),
            ("{% if 1 %}{% block location %}{% endblock %}{% endif %}", {}),
            ("{% for x in [1] %}{% block location %}{% endblock %}{% endfor %}", {}),
            (
                '{% include "_a" %}{% set x %}{% include "_a" %}{% endset %}',
                {"_a": "{% block end %}{% endblock %}"},
            ),
            ("{% block title %}{% endblock %}", {}),
        ],
    )
    def test_a_structure_that_would_not_do_what_it_says_is_refused(
        self, top: str, pieces: dict[str, str]
    ) -> None:
        assert fault(event, top=top, pieces=pieces).cause in ("template syntax", "shared piece")

    def test_text_outside_of_the_blocks_is_ignored(self) -> None:
        assert event(top="Notes to myself {{ 1 + 1 }}").render({}, NOW).fields["title"] == "t"

    def test_a_piece_can_be_checked_by_itself(self) -> None:
        check_piece("_brand", BRAND)

        refused = fault(check_piece, "_brand", {"_brand": "{% block titel %}{% endblock %}"})
        assert 'did you mean "title"?' in str(refused)

    def test_an_example_that_is_not_of_its_type_is_refused(self) -> None:
        refused = fault(event, declare="discount required, number e.g. fifty")

        assert (refused.line, refused.field) == (4, "variables.discount")


class TestFaultsWhileRendering:
    @pytest.mark.parametrize(
        ("use", "words"),
        [
            ("word * 2", '"*" needs numbers, and "abc" is text'),
            ("word + 2", "declare it as a number"),
            ("word + n", '"+" needs numbers'),
            ("n / 0", "zero"),
            ("word > 5", "declare the variable as a number"),
            ('n == "50"', "never equal to a text"),
            ('vip == "yes"', "{% if"),
            ("at > word", "cannot be compared"),
            ("at + 2", "plus(hours=2)"),
            ("day | plus(hours=2)", 'at("09:00")'),
            ("at | plus(2)", "plus(days=2)"),
            ('at | date("%Q")', '"%Q"'),
            ('day | at("9 am")', '"09:00"'),
            ('at | in_zone("Berlin")', "Europe/Berlin"),
            ('"www.example.com" | link(campaign="x")', "https://"),
            ('n | money("euros")', "EUR"),
            ("[1, word] | sum", '"abc" is not a number'),
            ("[1, word] | sort | join", "no order"),
            ("word | first | plural('a') ", "not a number"),
            ("{} ~ ''", "an object cannot be printed"),
            ("[] | first", "empty"),
            ("{1: 2}[3]", "3"),
            ("'%s %s' | format(1)", "fewer values"),
            ("none + 1", "blank"),
            ("word.nope", 'has no "nope"'),
            ("word[99]", "99"),
        ],
    )
    def test_a_mistake_is_told_in_words_with_its_place(self, use: str, words: str) -> None:
        declare = "word default abc\nn default 50, number\nvip default yes, yes/no\nat time\nday day"

        refused = fault(text, f"\n{{{{ {use} }}}}", declare=declare, at="2026-12-04T09:00", day="2026-12-15")

        assert (refused.template, refused.field) == ("event", "description")
        assert refused.line == 15
        assert words in str(refused)

    def test_a_mistake_in_a_macro_of_a_piece_names_the_piece_and_its_line(self) -> None:
        pieces = {"_macros": "\n\n{% macro half(x) %}\n{{ x / 0 }}\n{% endmacro %}"}
        template = event(pieces=pieces, description='{% from "_macros" import half %}{{ half(4) }}')

        refused = fault(template.render, {}, NOW)

        assert (refused.template, refused.line, refused.field) == ("_macros", 4, "description")

    def test_a_mistake_in_a_set_at_the_top_names_its_line(self) -> None:
        refused = fault(event(top="\n{% set x = 1 / 0 %}\n").render, {}, NOW)

        assert (refused.line, refused.field) == (7, "template")

    def test_a_message_tells_no_python(self) -> None:
        refused = fault(text, "{% for a, b in [1, 2] %}{% endfor %}")

        assert refused.cause == "rendering failed"
        assert "Traceback" not in str(refused)


class TestDelete:
    def test_a_delete_needs_only_what_the_event_id_needs(self) -> None:
        template = compile_template("summer_sale", {"summer_sale": SUMMER_SALE, **BRAND})

        assert template.render_event_id({"sale_id": "winter26"}) == "sale_winter26"
        assert (
            template.render_event_id({"sale_id": "winter26", "discount": "abc", "starts": ""})
            == "sale_winter26"
        )

    def test_a_delete_without_what_it_needs_is_refused_by_name(self) -> None:
        template = compile_template("summer_sale", {"summer_sale": SUMMER_SALE, **BRAND})

        assert fault(template.render_event_id, {"discount": "50"}).field == "variables.sale_id"
        assert fault(template.render_event_id, {"sale_id": "a", "discuont": "5"}).cause == "unknown variable"

    def test_an_event_id_may_hold_a_time_in_the_events_zone(self) -> None:
        template = event(
            declare="at required, time\nother required",
            top='{% set day = at | date("%Y%m%d") %}{% set noise = other %}',
            event_id="m_{{ day }}",
            timezone="Asia/Tokyo",
        )

        assert template.render_event_id({"at": "2026-12-04T20:00Z"}) == "m_20261205"

    def test_a_blank_event_id_is_refused(self) -> None:
        template = event(declare="x text", event_id="{{ x }}")

        assert fault(template.render_event_id, {}).cause == "no event_id"


def test_the_blocks_are_those_of_the_documentation() -> None:
    assert (
        *(
            "event_id",
            "title",
            "description",
            "location",
            "start",
            "end",
            "all_day",
            "timezone",
            "notify_before",
        ),
        *("visible_from", "calendar", "expires", "skip"),
    ) == BLOCKS


def test_every_block_can_be_a_field() -> None:
    blocks = {name: "5" for name in BLOCKS if name not in ("skip", "timezone")}

    fields = event(**blocks, skip="").render({}, NOW).fields

    assert fields == {**blocks, "timezone": "Europe/Berlin"}
