"""Comments, strings and code, asked at every place of a text; and the code that is left without them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_lsp import syntax
from coda_lsp.languages import LANGUAGES
from coda_lsp.syntax import parse

PLACES = {
    # language: pairs of a text and its places, one more than it has characters: c comment, s string, . code
    "python": [
        ("a#b\nc", "..cc.."),
        ('x="a"+y', "...ss..."),
        ('f"a{b}c"', ".sss..ss."),
        ("x='é🎉'#日", "...sss.cc"),
        ('x = "a', ".....ss"),
        ("f('a", "...ss"),
        ("f('a'", "...ss."),
    ],
    "javascript": [
        ("`a${b}c`", ".ss...ss."),
        ("`${a}${b}`", ".s...s...s."),
        ("a/*b*/c", "..cccc.."),
        ("x=/a/g", "...sss."),
    ],
    "typescript": [("`a`//b", ".ss.ccc")],
    "typescriptreact": [("<a b='c'/>", "......ss...")],
    "go": [("x=`a`", "...ss.")],
    "rust": [("/// a\nx", ".ccccc.."), ("'a'", ".ss.")],
    "java": [('"a" //b', ".ss..ccc")],
    "c": [('"a" /*b*/', ".ss..cccc.")],
    "cpp": [('R"(a)"//', ".sssss.cc")],
    "csharp": [('$"a{b}c"', ".sss..ss.")],
    "ruby": [('"a#{b}c"#d', ".ss...ss.cc")],
    "php": [("<?php 'a';#b", ".......ss..cc")],
    "bash": [('"a$(b)c"', ".ss...ss.")],
    "shellscript": [("'a' #d", ".ss..cc")],
    "html": [("<!--a-->b", ".ccccccc..")],
    "css": [("a{b:'c'}/*d*/", ".....ss..cccc.")],
    "json": [('{"a":1}', "..ss....")],
}


@pytest.mark.parametrize(
    ("language_id", "text", "places"), [(key, *pair) for key, pairs in PLACES.items() for pair in pairs]
)
def test_places(language_id, text, places):
    found = ""
    for offset in range(len(text) + 1):
        tree = parse(text, language_id, offset)
        assert tree is not None
        found += "c" if tree.in_comment(offset) else "s" if tree.in_string(offset) else "."
    assert found == places


def test_every_language_has_places():
    assert [language.name for language in LANGUAGES if not set(language.ids) & set(PLACES)] == []


@pytest.mark.parametrize(
    ("language_id", "text", "code"),
    [
        ("python", "x = '(' # [\ny", 'x = """    \ny'),
        ("python", 'f"a{b[0]}c"', '"""{b[0]}""'),
        ("python", "é = '🎉'", 'x = """'),
        ("javascript", "/* (\n) */ f(`a${b}`)", '    \n     f(""${b}")'),
        ("rust", "/// (\nf()", "     \nf()"),
        ("python", "a\rb # c\rd", "a\nb    \nd"),
    ],
)
def test_code_without_comments_and_strings(language_id, text, code):
    tree = parse(text, language_id, len(text))
    assert tree is not None
    assert tree.code_before(len(text)) == code


def test_a_language_that_is_not_in_the_table_has_no_tree():
    assert parse("x", "plaintext", 0) is None


FUNCTIONS = "def f():\n    '''\n    (\n    '''\n\n" * 20_000
METHODS = "class A:\n" + "    def f():\n        '''\n        (\n        '''\n\n" * 20_000


@pytest.mark.parametrize("offset", range(300_000, 300_036, 5))
@pytest.mark.parametrize("text", [FUNCTIONS, METHODS], ids=["functions", "methods"])
def test_a_long_text_is_parsed_around_the_offset_only(text, offset):
    tree = parse(text, "python", offset)
    assert tree is not None
    assert 29_900 <= len(tree.source) <= 30_000
    assert tree.source.lstrip().startswith("def f()")  # not in the middle of a string
    code = tree.code_before(offset) + tree.code_after(offset)
    assert len(code) == len(tree.source)
    assert "(" not in code[:-100].replace("f()", "")  # a string that the end cuts is not seen as one


def test_a_grammar_that_is_missing_is_told_once_and_lived_without(monkeypatch, caplog):
    def missing(language):
        raise ImportError(f"No module named {language.module!r}")

    monkeypatch.setattr(syntax, "load_grammar", missing)
    syntax.parser_for.cache_clear()
    try:
        assert parse("x", "python", 0) is None
        assert parse("y", "python", 0) is None
    finally:
        syntax.parser_for.cache_clear()
    reason = "No module named 'tree_sitter_python'"
    assert [record.getMessage() for record in caplog.records] == [
        f"The grammar of python can't be loaded ({reason}); its files are treated as plain lines."
    ]


@given(
    text=st.text(alphabet="ab(){}[]:;'\"`#/* \n\r\té🎉${}\\", max_size=60),
    language_id=st.sampled_from([language.ids[0] for language in LANGUAGES]),
    data=st.data(),
)
def test_offsets_are_those_of_the_text_whatever_it_holds(text, language_id, data):
    offset = data.draw(st.integers(0, len(text)))
    tree = parse(text, language_id, offset)
    assert tree is not None
    assert len(tree.code_before(offset)) == offset
    assert len(tree.code_after(offset)) == len(text) - offset
    assert isinstance(tree.in_comment(offset) or tree.in_string(offset), bool)
