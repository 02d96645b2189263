"""The snippets that go with a request: from every source that is on, ranked, not twice, of private files never."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from coda_lsp.context import window_around, with_unix_line_ends
from coda_lsp.documents import Snapshot
from coda_lsp.engine.request import Snippet
from coda_lsp.private_files import path_of, privacy
from coda_lsp.settings import Settings
from coda_lsp.snippets.chunks import ChunkIndex, RecentEdits
from coda_lsp.snippets.imports import imports_of
from coda_lsp.snippets.similarity import alike, overlap, shared_lines, words

_MOST_SNIPPETS = 8
_MOST_DOCUMENTS = 16  # open ones that are looked through
_NEAR_CHARACTERS = 1_500  # on both sides of the cursor: what a snippet is to be like
_AROUND_CHARACTERS = 6_000  # what the model sees anyway
_CHARACTERS_A_TOKEN = 4
# Bounds of llama.vim: what is shared with the text at hand above the first, with a better snippet above the second.
_RESEMBLES_TEXT, _RESEMBLES_SNIPPET = 0.5, 0.9
_LEAST_OVERLAP = 0.05
# A definition that is imported, and used near the cursor, says more than its few words do.
_IMPORT_BONUS, _USED_BONUS, _EDIT_BONUS = 0.05, 0.3, 0.05
# The choice is kept while the cursor moves less: the engine's cache depends on the snippets staying the same.
_KEPT_LINES = 8


@dataclass(frozen=True)
class _Scored:
    score: float
    path: str
    text: str


@dataclass(frozen=True)
class _Chosen:
    """What was chosen, for a cursor's line, and from what."""

    line: int
    others: tuple[tuple[str, int], ...]
    settings: Settings
    snippets: tuple[Snippet, ...]


class SnippetCollector:
    """Chooses the snippets for a place in a document."""

    def __init__(
        self,
        documents: Callable[[], Iterable[Snapshot]],
        settings: Callable[[str], Settings],
        roots: Callable[[], Iterable[str]],
    ) -> None:
        """`documents` are those that are open, `roots` the URIs of the workspace's folders."""
        self._documents = documents
        self._settings = settings
        self._roots = roots
        self.edits = RecentEdits()
        self._index = ChunkIndex()
        self._chosen: OrderedDict[str, _Chosen] = OrderedDict()

    def collect(self, document: Snapshot, offset: int) -> tuple[Snippet, ...]:
        """The snippets for a request at an offset, the most relevant first."""
        settings = self._settings(document.uri)
        if settings.snippet_tokens == 0:
            return ()
        line = document.buffer.line_at(min(offset, document.buffer.length))
        others = tuple((each.uri, each.version) for each in self._documents() if each.uri != document.uri)
        chosen = self._chosen.get(document.uri)
        if (
            chosen is not None
            and chosen.settings == settings
            and chosen.others == others
            and abs(chosen.line - line) < _KEPT_LINES
        ):
            return chosen.snippets
        snippets = self._choose(document, offset, settings)
        self._chosen[document.uri] = _Chosen(line, others, settings, snippets)
        if len(self._chosen) > _MOST_DOCUMENTS:
            self._chosen.popitem(last=False)
        return snippets

    def _choose(self, document: Snapshot, offset: int, settings: Settings) -> tuple[Snippet, ...]:
        near = with_unix_line_ends(window_around(document.text, offset, offset, _NEAR_CHARACTERS).text)
        around = with_unix_line_ends(window_around(document.text, offset, offset, _AROUND_CHARACTERS).text)
        budget = settings.snippet_tokens * _CHARACTERS_A_TOKEN
        kept: list[_Scored] = []
        for each in sorted(self._candidates(document, near, settings), key=lambda each: -each.score):
            if len(kept) == _MOST_SNIPPETS or budget <= 0:
                break
            if shared_lines(each.text, around) > _RESEMBLES_TEXT:
                continue
            if any(alike(each.text, better.text) > _RESEMBLES_SNIPPET for better in kept):
                continue
            kept.append(each)
            budget -= len(each.text)
        return tuple(Snippet(each.path, each.text) for each in kept)

    def _candidates(self, document: Snapshot, near: str, settings: Settings) -> Iterator[_Scored]:
        own = words(near)
        public = _Public()
        documents = [each for each in self._documents() if each.uri != document.uri]
        if settings.context_from_open_files:
            same = [each for each in documents if each.language_id == document.language_id and public(each.uri)]
            for chunk in self._index.chunks(reversed(same[-_MOST_DOCUMENTS:])):
                score = overlap(chunk.words, own)
                if score >= _LEAST_OVERLAP:
                    yield _Scored(score, self._name(chunk.uri), chunk.text)
        if settings.context_from_recent_edits:
            for chunk in self.edits.chunks(documents):
                if chunk.uri != document.uri and public(chunk.uri):
                    score = overlap(chunk.words, own)
                    if score >= _LEAST_OVERLAP:
                        yield _Scored(score + _EDIT_BONUS, self._name(chunk.uri), chunk.text)
        if settings.context_from_imports:
            yield from self._imported(document, near, public)

    def _imported(self, document: Snapshot, near: str, public: Callable[[str], bool]) -> Iterator[_Scored]:
        path = path_of(document.uri)
        if path is None:
            return
        roots = [root.resolve() for uri in self._roots() if (root := path_of(uri)) is not None] or [path.parent]
        own = words(near)
        for found in imports_of(document.text, document.language_id, path, roots):
            uri = found.path.as_uri()
            if not public(uri):
                continue
            for definition in found.definitions():
                used = definition.name in own
                if used or found.names is not None:
                    score = _IMPORT_BONUS + _USED_BONUS * used + overlap(words(definition.text), own)
                    yield _Scored(score, self._name(uri), definition.text + "\n")

    def _name(self, uri: str) -> str:
        """The path as a person of the project writes it, on one line and never blank."""
        return " ".join(self._path(uri).split()) or "untitled"

    def _path(self, uri: str) -> str:
        path = path_of(uri)
        if path is None:
            return uri.rpartition("/")[2]
        for root in filter(None, map(path_of, self._roots())):
            for base in (root, root.resolve()):
                if path.is_relative_to(base):
                    return path.relative_to(base).as_posix()
        return path.name


class _Public:
    """Whether a file may be read for another one; asked for once a file."""

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}

    def __call__(self, uri: str) -> bool:
        if uri not in self._known:
            self._known[uri] = privacy(uri) is None
        return self._known[uri]
