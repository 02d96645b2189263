"""Bodies of POST /v1/infill: what is read from them, and the one sentence each bad one is answered with."""

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_model.confidence import Evidence
from coda_model.engine_request import Event, Failed, Finished, Started
from coda_model.errors import InputError
from coda_model.request import Candidate, Hole, InfillOptions, InfillResult, Progress, Snippet, Timings
from coda_model.serve.schema import event_line, parse_infill

HOLE: dict[str, Any] = {"hole": {}}


def body(*segments: Any, **options: Any) -> bytes:
    return json.dumps({"segments": list(segments), **options}).encode()


def test_every_documented_field_is_read() -> None:
    options: dict[str, Any] = {
        "candidates": 3,
        "starts": 2,
        "lookups": 1,
        "apart": 16,
        "steps": 8,
        "algorithm": "origin",
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "alg_temp": 0.1,
        "context_tokens": 100,
        "bound": 0.8,
        "refresh": 4,
        "deadline_ms": 150.0,
        "seed": 7,
        "snippets": [{"path": "a/b.py", "text": "def b(): ...\n"}, {"path": "é.py", "text": ""}],
        "snippet_tokens": 64,
        "remask": 0.2,
        "heal": False,
        "language": "python",
    }
    hole = {"hint": "old", "single_line": True, "max_tokens": 48, "length": 4}
    snippets = (Snippet("a/b.py", "def b(): ...\n"), Snippet("é.py", ""))
    parsed = parse_infill(body({"text": "a é 🙂"}, {"hole": hole}, {"text": ""}, priority="background", **options))
    segments = ("a é 🙂", Hole("old", True, 48, 4), "")
    expected: dict[str, Any] = {**options, "snippets": snippets}
    assert parsed == (segments, InfillOptions(**expected), "background")
    assert set(asdict(parsed[1])) == set(options)


def test_what_is_left_out_takes_its_default() -> None:
    assert parse_infill(body(HOLE)) == ((Hole(),), InfillOptions(), "typed")


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (b"", "The body is not JSON: Expecting value (line 1, column 1)."),
        (b'{"segments": [}', "The body is not JSON: Expecting value (line 1, column 15)."),
        (b'\xff{"segments": []}', "The body is not UTF-8: byte 0 is invalid."),
        (b"[" * 100_000, "The body is not usable: its JSON is nested too deeply."),
        (b'{"seed": ' + b"9" * 5000 + b"}", "The body is not usable: it holds a number with too many digits."),
        (b'{"temperature": NaN}', "The body is not JSON: NaN is no JSON number."),
        (b"[]", "The body must be an object, not a list."),
        (b"{}", "segments is missing: a list of texts and holes."),
        (b'{"segments": null}', "segments must be a list, not null."),
        (body(), "segments must hold from 1 to 64 holes, not 0."),
        (body({"text": "no hole"}), "segments must hold from 1 to 64 holes, not 0."),
        (body(*[HOLE] * 65), "segments must hold from 1 to 64 holes, not 65."),
        (body("text"), "segments[0] must be an object, not a string."),
        (body(HOLE, {}), "segments[1] must have either text or hole."),
        (body({"text": "a", "hole": {}}), "segments[0] must have either text or hole."),
        (body({"txt": "a"}), "segments[0] has an unknown field 'txt'; known are text, hole."),
        (body({"text": 1}), "segments[0].text must be a string, not a number."),
        (body({"hole": None}), "segments[0].hole must be an object, not null."),
        (body({"text": "\ud83d"}, HOLE), "segments[0].text holds half a surrogate pair at character 0."),
        (body({"hole": {"hint": "ab\udc00"}}), "segments[0].hole.hint holds half a surrogate pair at character 2."),
        (
            body(HOLE, {"hole": {"max_token": 3}}),
            "segments[1].hole has an unknown field 'max_token'; "
            "known are hint, single_line, max_tokens, length, draft.",
        ),
        (
            body(HOLE, {"text": ""}, {"hole": {"max_tokens": 513}}),
            "segments[2].hole.max_tokens must be an integer from 1 to 512, not 513.",
        ),
        (
            body({"hole": {"max_tokens": True}}),
            "segments[0].hole.max_tokens must be an integer from 1 to 512, not True.",
        ),
        (body({"hole": {"max_tokens": 8.0}}), "segments[0].hole.max_tokens must be an integer from 1 to 512, not 8.0."),
        (body({"hole": {"length": 0}}), "segments[0].hole.length must be an integer from 1 to 512, not 0."),
        (body({"hole": {"single_line": 1}}), "segments[0].hole.single_line must be true or false, not 1."),
        (body({"hole": {"hint": 5}}), "segments[0].hole.hint must be a text, not 5."),
        (body(HOLE, candidates=9), "candidates must be an integer from 1 to 8, not 9."),
        (body(HOLE, steps="4"), "steps must be an integer from 1 to 4096, not '4'."),
        (body(HOLE, temperature=-0.1), "temperature must be a number from 0 to 10, not -0.1."),
        (body(HOLE)[:-1] + b', "top_p": 1e999}', "top_p must be a number from 0 to 1, not inf."),
        (
            body(HOLE, algorithm="magic"),
            "algorithm must be one of origin, maskgit_plus, topk_margin, entropy, threshold, factor, entropy_bound, "
            "not 'magic'.",
        ),
        (body(HOLE, algorithm=["entropy"]), "algorithm must be one of origin, maskgit_plus, topk_margin, entropy,"),
        (body(HOLE, seed=-1), "seed must be an integer from 0 to 9223372036854775807, not -1."),
        (body(HOLE, stream=True), "The body has an unknown field 'stream'; known are segments, priority, candidates,"),
        (body(HOLE, priority="urgent"), "priority must be typed or background, not 'urgent'."),
        (body(HOLE, priority=["typed"]), "priority must be typed or background, not ['typed']."),
        (body(HOLE, priority="x" * 10_000), "priority must be typed or background, not 'xxx"),
        (body(HOLE, snippets={}), "snippets must be a list, not an object."),
        (body(HOLE, snippets=["a"]), "snippets[0] must be an object, not a string."),
        (body(HOLE, snippets=[{"path": "a.py"}]), "snippets[0].text is missing."),
        (
            body(HOLE, snippets=[{"path": "a.py", "text": "", "x": 1}]),
            "snippets[0] has an unknown field 'x'; known are",
        ),
        (body(HOLE, snippets=[{"path": 1, "text": ""}]), "snippets[0].path must be a string, not a number."),
        (body(HOLE, snippets=[{"path": "a\nb", "text": ""}]), "snippets[0].path must be one line of text that is not"),
        (body(HOLE, snippets=[{"path": " ", "text": ""}]), "snippets[0].path must be one line of text that is not"),
        (body(HOLE, snippets=[{"path": "a", "text": "\ud83d"}]), "snippets[0].text holds half a surrogate pair at"),
        (body(HOLE, snippets=[{"path": "a", "text": ""}] * 65), "snippets must be at most 64 snippets, not 65."),
        (body(HOLE, heal=1), "heal must be true or false, not 1."),
        (body(HOLE, language=3), "language must be a text, not 3."),
        (body(HOLE, remask=2), "remask must be a number from 0 to 1, not 2."),
        (body(HOLE, snippet_tokens=-1), "snippet_tokens must be an integer from 0 to 32768, not -1."),
        (body(HOLE, steps="x" * 10_000), "steps must be an integer from 1 to 4096, not 'xxx"),
    ],
)
def test_bad_bodies(bad: bytes, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_infill(bad)
    message = str(caught.value)
    assert message.startswith(sentence)
    assert len(message) <= 301
    assert "\n" not in message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["text", "hole", "entropy"]),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.sampled_from(["segments", "text", "hole", "hint", "length", "steps"]), inner)
    ),
    max_leaves=20,
)


@given(value=json_values)
def test_any_body_is_read_or_refused(value: Any) -> None:
    for document in (value, {"segments": [{"hole": value}]}, {"segments": [{"hole": {}}], "steps": value}):
        try:
            segments, _, _ = parse_infill(json.dumps(document).encode())
        except InputError:
            continue
        assert any(isinstance(segment, Hole) for segment in segments)


EVIDENCE = Evidence(-0.75, 0.5, 12, False, 1, 2)
RESULT = InfillResult(
    (Candidate(("a\n", "é"), 0.5, ((0.25, 1.0), (0.5,)), EVIDENCE),), 3, "expand-delete", Timings(1.0, 2.0, 3.5)
)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Started(0.12345), {"event": "started", "queue_ms": 0.123}),
        (Progress(3, 12, 9), {"event": "progress", "step": 3, "steps": 12, "masked": 9}),
        (Failed("No."), {"event": "error", "message": "No."}),
        (
            Finished(RESULT, 0.2, 4.0),
            {
                "event": "result",
                "candidates": [
                    {
                        "fills": ["a\n", "é"],
                        "confidence": 0.5,
                        "token_confidences": [[0.25, 1.0], [0.5]],
                        "evidence": {
                            "log_share": -0.75,
                            "alike": 0.5,
                            "same": 12,
                            "renamed": False,
                            "others": 1,
                            "characters": 2,
                        },
                    }
                ],
                "steps": 3,
                "length_policy": "expand-delete",
                "timings": {"queue_ms": 0.2, "tokenize_ms": 1.0, "model_ms": 2.0, "total_ms": 4.0},
            },
        ),
    ],
)
def test_event_lines(event: Event, line: dict[str, Any]) -> None:
    written = event_line(event)
    assert written.count(b"\n") == 1 and written.endswith(b"\n")
    assert json.loads(written) == line
