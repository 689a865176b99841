"""The text of a reviewed schema: what did not change stays as it was written."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import schema_pb2

from mlproject.schema import parse_schema
from mlproject.schema.text import format_schema, rewrite_schema

TAXI = (Path(__file__).parents[3] / "examples" / "taxi" / "schema.pbtxt").read_text()
REVIEWED = """\
# The review of March.
# Ask Ada before you change it.

feature {  # in dollars
  name: "fare"   type: FLOAT   # never cents
  float_domain { min: 0 }
}
# Codes of the city: 1 { to } 77
feature { name: 'area # "1"' type: INT int_domain < min: 1 max: 77 > }

feature: {
  name: "hour"
  type: INT
}
string_domain {
  # sorted by hand
  name: "payment"
  value: "Cash" value: 'Card } {'
}
default_environment: "TRAINING"
# the other one
default_environment: "SERVING"
# The end.
"""


def changed(old: str, new: str) -> tuple[list[str], list[str]]:
    """The lines that went and the lines that came."""
    lines = list(difflib.ndiff(old.splitlines(), new.splitlines()))
    return (
        [line[2:] for line in lines if line.startswith("- ")],
        [line[2:] for line in lines if line.startswith("+ ")],
    )


@pytest.mark.parametrize("text", [TAXI, REVIEWED], ids=["taxi", "by hand"])
def test_an_unchanged_schema_keeps_every_byte(text: str) -> None:
    assert rewrite_schema(text, parse_schema(text, "here")) == text


def test_only_the_entry_that_changed_is_written_anew() -> None:
    schema = parse_schema(REVIEWED, "here")
    schema.feature[0].float_domain.max = 250.1
    text = rewrite_schema(REVIEWED, schema)
    assert parse_schema(text, "here") == schema
    gone, come = changed(REVIEWED, text)
    assert gone == [
        "feature {  # in dollars",
        '  name: "fare"   type: FLOAT   # never cents',
        "  float_domain { min: 0 }",
    ]
    assert come == [
        "feature {",
        '  name: "fare"',
        "  type: FLOAT",
        "  float_domain { min: 0.0 max: 250.1 }",
    ]


def test_a_new_feature_stands_behind_the_others_and_a_new_domain_behind_the_domains() -> None:
    schema = parse_schema(REVIEWED, "here")
    schema.feature.add(name="zone", type=schema_pb2.BYTES, domain="zone")
    schema.string_domain.add(name="zone", value=["a", "b"])
    text = rewrite_schema(REVIEWED, schema)
    assert parse_schema(text, "here") == schema
    gone, _ = changed(REVIEWED, text)
    assert gone == []
    names = ["fare", "area", "hour", "zone", "payment", "zone", "TRAINING", "SERVING", "The end"]
    places, at = [], 0
    for name in names:
        at = text.index(name, at + 1)
        places.append(at)
    assert places == sorted(places)


def test_a_removed_feature_takes_its_comment_along_and_the_header_stays() -> None:
    schema = parse_schema(REVIEWED, "here")
    del schema.feature[:2]
    text = rewrite_schema(REVIEWED, schema)
    assert parse_schema(text, "here") == schema
    assert text.startswith("# The review of March.\n# Ask Ada before you change it.\n")
    assert "Codes of the city" not in text
    assert text.endswith("# The end.\n")


def test_a_changed_list_without_names_is_written_in_one_place() -> None:
    schema = parse_schema(REVIEWED, "here")
    schema.default_environment.append("STAGING")
    text = rewrite_schema(REVIEWED, schema)
    assert parse_schema(text, "here") == schema
    assert text.count("default_environment") == 3


@pytest.mark.parametrize(
    "text",
    [
        'feature { name: "a" } feature { name: "b" }\n',  # two on one line
        'default_environment: "TRAI"\n  "NING"\n',  # a text over two lines
        'feature { name: "a" }; feature { name: "b" }\n',
        "# only a comment\n",
        'feature { name: "a" } feature { name: "a" type: INT }',  # two of one name
        "",
    ],
)
def test_a_text_that_cannot_be_cut_is_laid_out_anew_and_says_the_same(text: str) -> None:
    schema = parse_schema(text, "here")
    schema.feature.add(name="new", type=schema_pb2.INT)
    new = rewrite_schema(text, schema)
    assert parse_schema(new, "here") == schema
    assert new.startswith("# only a comment\n") == text.startswith("#")


def test_the_layout_is_the_one_of_the_taxi_example() -> None:
    header, _, rest = TAXI.partition("\n")
    assert header.startswith("#")
    assert format_schema(parse_schema(TAXI, "here")) == rest


def test_a_map_and_floats_of_both_widths_are_written_so_that_they_read_back() -> None:
    schema = schema_pb2.Schema()
    feature = schema.feature.add(name="é\"\\\n'", type=schema_pb2.FLOAT)
    feature.float_domain.min, feature.float_domain.max = 0.1, float("inf")
    feature.presence.min_fraction = 1 / 3
    feature.annotation.tag.append("x")
    column = schema.tensor_representation_group["group"].tensor_representation["column"]
    column.dense_tensor.column_name = "x"
    text = format_schema(schema)
    assert parse_schema(text, "here") == schema
    assert "min: 0.1 " in text
    assert "é" in text
    assert rewrite_schema(text, schema) == text


names = st.text(max_size=5)


@st.composite
def schemas(draw: Any) -> Any:
    schema = schema_pb2.Schema()
    for name in draw(st.lists(names, unique=True, max_size=4)):
        feature = schema.feature.add(name=name, type=draw(st.sampled_from([1, 2, 3])))
        if draw(st.booleans()):
            feature.presence.min_fraction = draw(st.floats(0, 1))
        if draw(st.booleans()):
            feature.string_domain.value.extend(draw(st.lists(names, max_size=3)))
        elif draw(st.booleans()):
            feature.float_domain.min = draw(st.floats(width=32, allow_nan=False))
    for name in draw(st.lists(names, unique=True, max_size=2)):
        schema.string_domain.add(name=name, value=draw(st.lists(names, max_size=3)))
    schema.default_environment.extend(draw(st.lists(names, max_size=2)))
    return schema


@settings(max_examples=150, deadline=None)
@given(schemas(), schemas())
def test_any_schema_can_be_written_over_any_other(before: Any, after: Any) -> None:
    text = rewrite_schema("# header\n" + format_schema(before), after)
    assert parse_schema(text, "here") == after
    assert text.startswith("# header\n")
    assert rewrite_schema(text, after) == text
