"""What stands between a fill and the editor: small checks that repair a fill or drop it.

The model sees the text after the hole, so these are a safety net: `FilterOutcome.fired` tells how often each catches.
"""

from __future__ import annotations

from dataclasses import dataclass

from coda_lsp.filters.blank import blank
from coda_lsp.filters.candidate import Candidate
from coda_lsp.filters.echo_of_line_above import echo_of_line_above
from coda_lsp.filters.repeated_lines import repeated_lines
from coda_lsp.filters.repeats_suffix import repeats_suffix
from coda_lsp.filters.unbalanced_closers import unbalanced_closers
from coda_lsp.filters.wrong_indentation import wrong_indentation

_FILTERS = (blank, wrong_indentation, repeated_lines, repeats_suffix, unbalanced_closers, echo_of_line_above)


@dataclass(frozen=True)
class FilterOutcome:
    """A fill after all filters: `text` is None when one dropped it, `fired` names those that changed or dropped it."""

    text: str | None
    fired: tuple[str, ...]


def apply_filters(fill: str, prefix: str, suffix: str, language_id: str, *, replaced: str = "") -> FilterOutcome:
    """Run every filter in order on a fill that stands between prefix and suffix; line ends are `\\n`.

    `replaced` is the text that stood in the hole: a selection that left its block allows its fill to do so too.
    """
    fired: list[str] = []
    for check in _FILTERS:
        kept = check(Candidate(fill, prefix, suffix, language_id, replaced))
        if kept != fill:
            fired.append(check.__name__)
        if not kept or not kept.strip():
            return FilterOutcome(None, tuple(fired))
        fill = kept
    return FilterOutcome(fill, tuple(fired))
