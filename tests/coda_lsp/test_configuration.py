"""Whose settings hold for which document."""

from coda_lsp.configuration import Configuration
from coda_lsp.settings import DEFAULTS


def configuration(**may: bool) -> Configuration:
    return Configuration(**{"may_choose_python": True, **may})


def test_what_the_editor_does_not_say_is_as_at_the_start() -> None:
    found = configuration()
    assert found.start({"maxTokens": 7, "candidates": 2}) == ()
    assert found.update({"candidates": 5}) == ()
    assert (found.session.max_tokens, found.session.candidates) == (7, 5)
    assert found.update({}) == ()
    assert (found.session.max_tokens, found.session.candidates) == (7, 2)


def test_a_document_follows_the_innermost_folder_that_holds_it() -> None:
    found = configuration()
    folders = {"file:///w": {"maxTokens": 1}, "file:///w/inner": {"maxTokens": 2}, "file:///other/": {"maxTokens": 3}}
    assert found.update({"maxTokens": 9}, folders) == ()
    expected = {
        "file:///w/a.py": 1,
        "file:///w/inner/a.py": 2,
        "file:///w/inner2/a.py": 1,
        "file:///other/a.py": 3,
        "file:///w2/a.py": 9,
        "untitled:1": 9,
    }
    assert {uri: found.of(uri).max_tokens for uri in expected} == expected
    assert found.update({"maxTokens": 9}) == ()
    assert found.of("file:///w/a.py").max_tokens == 9, "the folder is gone"


def test_the_engine_is_the_session_s() -> None:
    found = configuration()
    folder = {"model": "/evil", "serverUrl": "https://evil.example", "python": "/bin/evil", "counters": False}
    found.update({"model": "/good"}, {"file:///w": folder})
    settings = found.of("file:///w/a.py")
    assert (settings.model, settings.server_url, settings.python) == ("/good", None, None)
    assert settings.counters is True


def test_a_mistake_is_told_once_and_keeps_what_stood_before() -> None:
    found = configuration()
    wrong = {"maxTokens": 0}
    [problem] = found.update(wrong, {"file:///a": wrong, "file:///b": wrong})
    assert problem.startswith("coda.maxTokens")
    assert found.of("file:///a/x").max_tokens == DEFAULTS.max_tokens


def test_a_client_over_tcp_names_no_program() -> None:
    found = configuration(may_choose_python=False)
    [problem] = found.start({"python": "/bin/evil"})
    assert "TCP" in problem
    assert found.session.python is None
