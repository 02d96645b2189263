"""`textDocument/completion`: the same suggestions as entries of a popup, for clients without inline completion."""

from __future__ import annotations

import re

from lsprotocol import types

from coda_lsp.documents import Snapshot
from coda_lsp.features.inline_completion import InlineCompletion

_WORD = re.compile(r"\w*$")
_LONGEST_LABEL = 60
# Behind the entries of the language's own server, which are surer.
_SORT_LAST = "\U0010ffff"


async def complete(
    inline: InlineCompletion,
    document: Snapshot,
    params: types.CompletionParams,
    encoding: types.PositionEncodingKind,
) -> types.CompletionList:
    """The entries for a cursor. They count as automatic: clients ask with the same trigger kind while typing.

    Raises PositionError and CancelledError like InlineCompletion.complete.
    """
    kind = types.InlineCompletionTriggerKind.Automatic
    asked = types.InlineCompletionParams(
        types.InlineCompletionContext(kind), text_document=params.text_document, position=params.position
    )
    found = await inline.complete(document, asked, encoding)
    offset = document.offset_at(params.position, encoding)
    line_start, line = document.buffer.line(params.position.line)
    word = _WORD.search(line[: offset - line_start])
    typed = word.group() if word is not None else ""
    start = document.position_at(offset - len(typed), encoding)
    return types.CompletionList(
        is_incomplete=True,  # the model is asked again as the user types on
        items=[
            _entry(item, typed, start) for item in found.items if item.range and item.range.start == params.position
        ],
    )


def _entry(item: types.InlineCompletionItem, typed: str, start: types.Position) -> types.CompletionItem:
    text = typed + str(item.insert_text)
    label = text.strip().partition("\n")[0]
    assert item.range is not None
    return types.CompletionItem(
        label=label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…",
        kind=types.CompletionItemKind.Text,
        detail="CoDA",
        documentation=text if label != text else None,
        filter_text=text,
        sort_text=_SORT_LAST,
        text_edit=types.TextEdit(types.Range(start, item.range.end), text),
        command=item.command,
    )
