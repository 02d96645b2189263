"""Snippets of other files: found, ranked, not twice, never of private ones, and each source can be switched off."""

from pathlib import Path

import pytest
from lsprotocol import types

from coda_lsp.documents import DocumentStore, Snapshot
from coda_lsp.settings import Settings
from coda_lsp.snippets.collect import SnippetCollector
from coda_lsp.snippets.definitions import definitions_of
from coda_lsp.snippets.imports import imports_of

HERE = "import shapes\n\n\ndef report(polygon):\n    total = polygon_area(polygon)\n    ▮\n"
ALIKE = """def polygon_area(polygon):
    total = 0.0
    for corner in polygon:
        total += corner
    return total
"""
OTHER = "class HttpServer:\n    def listen(self, port):\n        self.socket.bind(port)\n"


class Workspace:
    """A folder with documents open in it."""

    def __init__(self, root: Path, **settings: object) -> None:
        self.root = root
        self.documents = DocumentStore()
        self.settings = Settings(**settings)  # pyrefly: ignore[bad-argument-type]
        self.collector = SnippetCollector(lambda: self.documents, lambda uri: self.settings, lambda: [root.as_uri()])

    def file(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def open(self, name: str, text: str, language_id: str = "python") -> Snapshot:
        return self.documents.open((self.root / name).as_uri(), language_id, 1, text)

    def collect(self, marked: str = HERE, name: str = "here.py", language_id: str = "python") -> list[tuple[str, str]]:
        document = self.open(name, marked.replace("▮", ""), language_id)
        found = self.collector.collect(document, marked.index("▮"))
        return [(snippet.path, snippet.text) for snippet in found]


def test_open_files_the_most_alike_first(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.open("server.py", OTHER)
    workspace.open("geometry/area.py", ALIKE)
    workspace.open("notes.md", ALIKE, "markdown")
    assert workspace.collect() == [("geometry/area.py", ALIKE)], "neither what is unlike nor another language"


def test_near_duplicates_and_what_is_there_already_are_left_out(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.open("one.py", ALIKE)
    workspace.open("two.py", ALIKE + "# the same\n")
    assert len(workspace.collect()) == 1
    assert workspace.collect(HERE + ALIKE, "there.py") == []


@pytest.mark.parametrize("name", [".env", "secrets.py", "keys/server.pem", "ignored.py", "build/made.py"])
def test_private_files_never(tmp_path: Path, name: str) -> None:
    workspace = Workspace(tmp_path)
    workspace.file(".git/HEAD", "")
    workspace.file(".gitignore", "ignored.py\nbuild/\n")
    private = workspace.open(name, ALIKE)
    workspace.collector.edits.add(private, 2)
    workspace.file(name, ALIKE)
    assert workspace.collect(f"from {name.split('.')[0].replace('/', '.')} import polygon_area\n" + HERE) == []


@pytest.mark.parametrize(("uri", "name"), [("untitled:", "untitled:"), ("x:/", "untitled"), ("x:/a\u2028b", "a b")])
def test_names_are_one_line_that_is_not_blank(tmp_path: Path, uri: str, name: str) -> None:
    workspace = Workspace(tmp_path)
    workspace.documents.open(uri, "python", 1, ALIKE)
    assert workspace.collect() == [(name, ALIKE)]


def test_recent_edits_of_files_that_are_closed_too(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    far = workspace.open("long.txt", "filler = 1\n" * 300 + ALIKE, "plaintext")
    workspace.collector.edits.add(far, 302)
    workspace.documents.close(far.uri)
    [(path, text)] = workspace.collect()
    assert path == "long.txt"
    assert ALIKE in text


def test_an_edited_place_is_shown_as_it_is_now(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    old = workspace.open("edited.txt", "polygon_area total polygon\n", "plaintext")
    workspace.collector.edits.add(old, 0)
    place = types.Range(types.Position(0, 0), types.Position(0, 0))
    change = types.TextDocumentContentChangePartial(place, "report ")
    workspace.documents.change(old.uri, 2, [change], types.PositionEncodingKind.Utf16)
    assert workspace.collect() == [("edited.txt", "report polygon_area total polygon\n")]


def test_definitions_of_what_is_imported(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.file(
        "shapes.py",
        "import os\n\n\ndef polygon_area(polygon: list) -> float:\n    return 1\n\n\ndef unused():\n    pass\n",
    )
    assert workspace.collect() == [("shapes.py", "def polygon_area(polygon: list) -> float:\n")]


def test_the_choice_stays_while_the_cursor_moves_little(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.open("area.py", ALIKE)
    first = workspace.collect()
    assert workspace.collect("import shapes\n\n\ndef report(polygon):\n    total = po▮\n    \n") == first
    workspace.open("server.py", OTHER)
    assert workspace.collect(("# line\n" * 40) + OTHER + "▮") == [], "far away, and its best match is in the text"


@pytest.mark.parametrize(
    ("off", "gone"),
    [
        ({"context_from_open_files": False}, "open.py"),
        ({"context_from_recent_edits": False}, "edited.txt"),
        ({"context_from_imports": False}, "shapes.py"),
    ],
)
def test_each_source_can_be_switched_off(tmp_path: Path, off: dict[str, bool], gone: str) -> None:
    def paths(**settings: bool) -> set[str]:
        workspace = Workspace(tmp_path, **settings)
        workspace.file("shapes.py", "def polygon_area(polygon: list) -> float:\n    return 1\n")
        workspace.open("open.py", ALIKE)
        edited = workspace.open("edited.txt", "report polygon_area total polygon\n", "plaintext")
        workspace.collector.edits.add(edited, 0)
        return {path for path, _ in workspace.collect()}

    everything = paths()
    assert everything == {"open.py", "edited.txt", "shapes.py"}
    assert paths(**off) == everything - {gone}


def test_none_at_all(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, snippet_tokens=0)
    workspace.open("area.py", ALIKE)
    assert workspace.collect() == []


@pytest.mark.parametrize(
    ("language_id", "source", "expected"),
    [
        ("python", "X = 1\n\n\n@cache\ndef f(a, b=1):\n    return a\n", {"f": "def f(a, b=1):"}),
        (
            "python",
            "class A(B):\n    x = 1\n\n    def m(self):\n        pass\n",
            {"A": "class A(B):\n    def m(self):"},
        ),
        ("python", "class A:\n    x: int = 1\n    'doc'\n", {"A": "class A:\n    x: int"}),
        ("typescript", "export function f(a: number): string { return ''; }\n", {"f": "function f(a: number): string"}),
        ("typescript", "export interface A { b: number }\n", {"A": "interface A"}),
        ("javascript", "export const f = (a) => { return a; };\n", {"f": "const f = (a) =>"}),
        ("javascript", "class A { m(x) { return x; } }\n", {"A": "class A\n    m(x)"}),
        ("rust", "use std::io;\npub fn f(a: u8) -> u8 { a }\n", {"f": "pub fn f(a: u8) -> u8"}),
        ("rust", "struct P { x: i32 }\n", {"P": "struct P\n    x: i32"}),
        ("go", "package a\n\nfunc F(a int) int {\n\treturn a\n}\n", {"F": "func F(a int) int"}),
        (
            "c",
            "#include <x.h>\nint f(int a) {\n  return a;\n}\nint g(void);\n",
            {"f": "int f(int a)", "g": "int g(void);"},
        ),
        ("java", "class A {\n  int f(int a) { return a; }\n}\n", {"A": "class A\n    int f(int a)"}),
        ("nonsense", "def f(): pass\n", {}),
        ("python", "def (((\n", {}),
    ],
)
def test_definitions(language_id: str, source: str, expected: dict[str, str]) -> None:
    assert {each.name: each.text for each in definitions_of(source.encode(), language_id)} == expected


@pytest.mark.parametrize(
    ("language_id", "line", "files", "found"),
    [
        ("python", "import pkg.mod\n", ["pkg/mod.py"], {"pkg/mod.py": None}),
        ("python", "from pkg import a, b as c\n", ["pkg/__init__.py"], {"pkg/__init__.py": {"a", "b"}}),
        ("python", "from pkg import (\n    a,  # why\n    b,\n)\n", ["src/pkg.py"], {"src/pkg.py": {"a", "b"}}),
        ("python", "from . import near\n", ["app/near.py"], {"app/near.py": None}),
        ("python", "from ..up import *\n", ["up.py"], {"up.py": None}),
        ("python", "import os, sys\n", [], {}),
        ("typescript", "import { a, b as c } from './x';\n", ["app/x.ts"], {"app/x.ts": {"a", "b"}}),
        ("typescript", "import y from '../y.js'\n", ["y.ts"], {"y.ts": None}),
        ("javascript", "const { a } = require('./x')\n", ["app/x/index.js"], {"app/x/index.js": {"a"}}),
        ("javascript", "import react from 'react'\n", ["react.js"], {}),
        ("c", '#include "x.h"\n#include <stdio.h>\n', ["include/x.h"], {"include/x.h": None}),
        ("rust", "use crate::a::{B, C};\n", ["src/a.rs"], {"src/a.rs": {"B", "C"}}),
        ("python", "from ...outside import x\n", ["../outside.py"], {}),
    ],
)  # fmt: skip
def test_imports(
    tmp_path: Path, language_id: str, line: str, files: list[str], found: dict[str, set[str] | None]
) -> None:
    root = tmp_path / "root"
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).resolve().write_text("")
    document = root / ("src/main.rs" if language_id == "rust" else "app/main")
    document.parent.mkdir(parents=True, exist_ok=True)
    imports = imports_of(line, language_id, document, [root.resolve()])
    names = {each.path.relative_to(root.resolve()).as_posix(): each.names for each in imports}
    assert names == {path: None if taken is None else frozenset(taken) for path, taken in found.items()}
