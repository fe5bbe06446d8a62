"""docs/parameters.md: every key of the schemas, up to date."""

from paths import ROOT

from morphobench.config.parameters import PAGE, page, rows


def test_the_page_is_up_to_date():
    assert (ROOT / PAGE).read_text() == page(ROOT), "make parameters"


def test_rows_name_keys_types_and_what_must_be_given():
    schema = {
        "required": ["a"],
        "properties": {
            "a": {"type": "integer", "minimum": 1, "description": "one | two"},
            "b": {"additionalProperties": {"properties": {"c": {"enum": ["x", None]}}}},
            "d": {"type": ["array", "null"], "items": {"properties": {"e": {"type": "string"}}}},
        },
        "allOf": [{"then": {"properties": {"f": {"const": 3}}}}],
    }
    assert list(rows(schema)) == [
        ("a", "integer from 1", "yes", "one | two"),
        ("b", "any", "", ""),
        ("b.<name>.c", "x, null", "", ""),
        ("d", "array or null of any", "", ""),
        ("d.e", "string", "", ""),
        ("f", "3", "", ""),
    ]
