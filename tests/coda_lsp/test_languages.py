"""The table of languages: complete, and true to the installed grammars."""

import re
import subprocess
import sys

import pytest

from coda_lsp.languages import LANGUAGES, language_for, language_id_for_path, load_grammar

REQUIRED_IDS = [
    *("python", "javascript", "javascriptreact", "typescript", "typescriptreact", "go", "rust", "java", "c", "cpp"),
    *("csharp", "ruby", "php", "bash", "shellscript", "html", "css", "json"),
]


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_the_grammar_has_the_nodes_that_the_table_names(language):
    grammar = load_grammar(language)
    kinds = (
        *(*language.comments, *language.strings, *language.interpolations),
        *(*language.data_braces, *language.lone_closers),
    )
    assert [kind for kind in kinds if grammar.id_for_node_kind(kind, True) is None] == []


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_the_opener_is_a_regular_expression(language):
    assert language.opener is None or re.compile(language.opener)


@pytest.mark.parametrize("language_id", REQUIRED_IDS)
def test_every_required_language_is_known(language_id):
    language = language_for(language_id)
    assert language is not None
    assert language_id in language.ids


def test_ids_and_extensions_are_not_claimed_twice():
    ids = [language_id for language in LANGUAGES for language_id in language.ids]
    extensions = [extension for language in LANGUAGES for extension in language.extensions]
    assert len(set(ids)) == len(ids)
    assert len(set(extensions)) == len(extensions)


@pytest.mark.parametrize(
    ("path", "language_id"),
    [
        ("/a/b.py", "python"),
        ("/a/b.PY", "python"),
        ("/a/b.tsx", "typescriptreact"),
        ("/a/b.h", "c"),
        ("/a/b.sh", "shellscript"),
        ("/a/b.d.ts", "typescript"),
        ("/a/python", None),
        ("", None),
    ],
)
def test_language_id_for_path(path, language_id):
    assert language_id_for_path(path) == language_id


def test_no_grammar_is_imported_before_it_is_asked_for():
    code = "import coda_lsp.holes, sys; print([m for m in sys.modules if m.startswith('tree_sitter')])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
