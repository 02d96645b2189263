"""Text of other files, put before the document: it tells of names that the document uses and does not define."""

from collections.abc import Sequence
from pathlib import PurePath

from coda_model.request import Snippet
from coda_model.tokenizer import CodeTokenizer

# How a line comment begins and ends; every other extension takes a number sign, as most scripts and settings do.
_SLASHES = "c cc cpp cs cts cxx dart go h hh hpp hxx java js jsx kt mjs mts php rs scala swift ts tsx zig"
_COMMENTS = {f".{extension}": ("// ", "") for extension in _SLASHES.split()} | {
    ".css": ("/* ", " */"),
    ".html": ("<!-- ", " -->"),
    ".lua": ("-- ", ""),
    ".sql": ("-- ", ""),
}
# Characters of a snippet looked at for each token of the budget: code has 3 to 5 a token, runs of spaces more.
_CHARACTERS_PER_TOKEN = 8


def comment_line(path: str) -> str:
    """The path as a line comment of its language, line end included."""
    opening, closing = _COMMENTS.get(PurePath(path).suffix.lower(), ("# ", ""))
    return f"{opening}{path}{closing}\n"


def encode_snippets(snippets: Sequence[Snippet], budget: int, tokenizer: CodeTokenizer) -> list[int]:
    """At most `budget` tokens of the snippets, the most relevant (first) one last, where it is next to the document.

    Each stands under a comment line with its path. The first that does not fit is cut after a line, those behind it are
    left out. A snippet of blank text says nothing and takes no room.
    """
    parts: list[list[int]] = []
    for snippet in snippets:
        if not snippet.text.strip():
            continue
        text = comment_line(snippet.path) + snippet.text[: budget * _CHARACTERS_PER_TOKEN].rstrip() + "\n"
        ids = tokenizer.encode(text)
        fits = len(ids) <= budget
        while len(ids) > budget:
            start = tokenizer.decode(ids[:budget])
            ids = tokenizer.encode(start[: start.rfind("\n") + 1])
        if fits or tokenizer.decode(ids).count("\n") > 1:
            parts.append(ids)
            budget -= len(ids)
        if not fits:
            break
    return [token for ids in reversed(parts) for token in ids]
