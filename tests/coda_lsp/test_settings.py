"""Settings: what is read, what is refused and in which words."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_lsp import suggestions
from coda_lsp.settings import DEFAULTS, Settings, json_schema, parse_settings
from coda_model.evaluate import typist
from coda_model.evaluate.figures import EDITOR_THRESHOLD

KEYS = list(json_schema()["properties"])


def test_nothing_given_is_the_defaults():
    assert parse_settings(None) == (DEFAULTS, ())
    assert parse_settings({}) == (DEFAULTS, ())
    assert parse_settings({"coda": None}) == (DEFAULTS, ())


def test_the_quality_report_shows_what_the_editor_would():
    assert DEFAULTS.minimum_confidence == EDITOR_THRESHOLD
    assert suggestions.CHANGED_ODDS == typist.CHANGED_ODDS


def test_every_setting_can_be_given():
    given_values = {
        "enable": "manual",
        "model": "/models/coda",
        "device": "cuda:1",
        "dtype": "bfloat16",
        "serverUrl": "https://coda.example",
        "serverToken": "t0ken",
        "python": "/usr/bin/python3",
        "inStrings": True,
        "inComments": True,
        "multiLine": False,
        "maxTokens": 64,
        "contextTokens": 1024,
        "snippetTokens": 0,
        "contextFromOpenFiles": False,
        "contextFromRecentEdits": False,
        "contextFromImports": False,
        "steps": 8,
        "algorithm": "maskgit_plus",
        "minimumConfidence": 0.5,
        "deadlineMs": 300,
        "candidates": 5,
        "holeMarker": "<?>",
        "counters": False,
        "logLevel": "debug",
    }
    assert list(given_values) == KEYS
    settings, problems = parse_settings(given_values)
    assert problems == ()
    assert dataclasses.astuple(settings) == tuple(given_values.values())


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (7, "The coda settings must be a JSON object, not 7."),
        ({"enable": "yes"}, "coda.enable must be one of automatic, manual, off, not 'yes'."),
        ({"enable": True}, "coda.enable must be one of automatic, manual, off, not True."),
        ({"enable": ["off"]}, "coda.enable must be one of automatic, manual, off, not ['off']."),
        ({"model": ""}, "coda.model must be a text that is not empty, not ''."),
        ({"model": 3}, "coda.model must be a text that is not empty, not 3."),
        ({"serverUrl": "coda.example"}, "coda.serverUrl must start with http:// or https://, not 'coda.example'."),
        ({"serverToken": 12345}, "coda.serverToken must be a text that is not empty."),
        ({"inStrings": 1}, "coda.inStrings must be true or false, not 1."),
        ({"maxTokens": 0}, "coda.maxTokens must be a whole number from 1 to 512, not 0."),
        ({"maxTokens": 1.5}, "coda.maxTokens must be a whole number from 1 to 512, not 1.5."),
        ({"maxTokens": True}, "coda.maxTokens must be a whole number from 1 to 512, not True."),
        ({"maxTokens": "48"}, "coda.maxTokens must be a whole number from 1 to 512, not '48'."),
        ({"maxTokens": float("nan")}, "coda.maxTokens must be a whole number from 1 to 512, not nan."),
        ({"maxTokens": 10**400}, f"coda.maxTokens must be a whole number from 1 to 512, not 1{'0' * 56}…."),
        ({"minimumConfidence": 2}, "coda.minimumConfidence must be a number from 0 to 1, not 2."),
        ({"minimumConfidence": float("inf")}, "coda.minimumConfidence must be a number from 0 to 1, not inf."),
        ({"maxtokens": 4}, "There is no setting coda.maxtokens; did you mean coda.maxTokens?"),
        ({"colour": "red"}, "There is no setting coda.colour."),
        ({"model": ["x" * 99]}, f"coda.model must be a text that is not empty, not ['{'x' * 55}…."),
    ],
)
def test_a_wrong_value_is_told_in_one_sentence_and_changes_nothing(raw, problem):
    assert parse_settings(raw) == (DEFAULTS, (problem,))


def test_good_values_are_taken_beside_wrong_ones():
    settings, problems = parse_settings({"maxTokens": 12, "steps": "many", "nothing": 1})
    assert settings == Settings(max_tokens=12)
    assert len(problems) == 2


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"maxTokens": 12.0}, Settings(max_tokens=12)),
        ({"minimumConfidence": 0}, Settings(minimum_confidence=0.0)),
        ({"coda": {"maxTokens": 12}}, Settings(max_tokens=12)),
        ({"model": " bundled "}, DEFAULTS),
        ({"steps": None}, DEFAULTS),
    ],
)
def test_values_that_are_as_good(raw, expected):
    assert parse_settings(raw) == (expected, ())


def test_a_later_configuration_goes_on_top_and_null_takes_back():
    base, _ = parse_settings({"maxTokens": 12, "steps": 4})
    settings, problems = parse_settings({"steps": None, "candidates": 2, "maxTokens": "x"}, base)
    assert settings == Settings(max_tokens=12, candidates=2)
    assert len(problems) == 1


def test_the_token_is_not_shown():
    assert "t0ken" not in repr(Settings(server_token="t0ken"))


def test_the_schema_describes_every_setting():
    properties = json_schema()["properties"]
    assert len(properties) == len(dataclasses.fields(Settings))
    for schema in properties.values():
        assert schema["description"].endswith(".")
        assert "type" in schema
    assert properties["steps"]["type"] == ["integer", "null"]
    assert properties["enable"]["enum"] == ["automatic", "manual", "off"]
    settings, problems = parse_settings({key: schema["default"] for key, schema in properties.items()})
    assert (settings, problems) == (DEFAULTS, ())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)


@given(raw=st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=9), json_values, max_size=6))
def test_any_json_gives_valid_settings_and_sentences(raw):
    settings, problems = parse_settings(raw)
    assert all(problem.endswith((".", "?")) for problem in problems)
    camel = dict(zip(KEYS, dataclasses.astuple(settings), strict=True))
    assert parse_settings(camel) == (settings, ())
