"""Token healing: a token that the edge of a hole may have cut is opened again, and the fill must spell its characters.

`pri|` ends with a token that no text with `print` has, so the model has hardly seen it. Without that token, and with a
hole whose first token must begin with its characters, it can say `print` as it is usually written. The same holds for
the first token behind a hole.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from coda_model.request import Hole
from coda_model.tokenizer import CodeTokenizer


@dataclass(frozen=True)
class Edges:
    """What a fill must begin and end with: characters of the document, which are no part of the answer."""

    opening: str = ""
    closing: str = ""

    @property
    def tokens(self) -> int:
        """Tokens that were opened again, one for each side."""
        return bool(self.opening) + bool(self.closing)

    def inner(self, text: str) -> str:
        """The fill without what it repeats of the document."""
        return text[len(self.opening) : len(text) - len(self.closing)]


def open_edges(
    texts: Sequence[list[int]], holes: Sequence[Hole], tokenizer: CodeTokenizer
) -> tuple[list[list[int]], list[Edges]]:
    """The token lists around the holes without the tokens that are opened again, and the edges of each hole.

    A hole of exact length stays as it is. So does the edge at a line end: no token that matters spans it.
    """
    texts = [list(text) for text in texts]
    edges = []
    for number, hole in enumerate(holes):
        opening = closing = ""
        if hole.length is None:
            opening = _reopened(texts[number][-1:], tokenizer)
            if opening:
                texts[number].pop()
            closing = _reopened(texts[number + 1][:1], tokenizer)
            if closing:
                texts[number + 1].pop(0)
        edges.append(Edges(opening, closing))
    return texts, edges


def _reopened(token: list[int], tokenizer: CodeTokenizer) -> str:
    if not token or tokenizer.is_unwritable[token[0]] or tokenizer.is_special[token[0]]:
        return ""
    text = tokenizer.decode(token)
    return "" if "\n" in text or "\r" in text else text
