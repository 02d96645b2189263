"""How much of a document the model sees: tokens around the holes, the far ends cut away."""

from collections.abc import Sequence
from dataclasses import replace

from coda_model.errors import InputError
from coda_model.request import Hole, Segment
from coda_model.tokenizer import CodeTokenizer

# A text before a hole says more about it than the text behind it.
PREFIX_WEIGHT, SUFFIX_WEIGHT = 2, 1
# Characters looked at for each token wanted: code has 3 to 5 a token, runs of spaces more.
_CHARACTERS_PER_TOKEN = 8
# A cut moves to a line's start when that costs no more than this share of the text kept.
_LINE_SHARE = 4


def split_segments(segments: Sequence[Segment]) -> tuple[list[str], list[Hole]]:
    """The n holes and the n + 1 texts around them (empty ones included). Raises InputError where there is no hole."""
    texts, holes = [""], []
    for segment in segments:
        if isinstance(segment, Hole):
            holes.append(segment)
            texts.append("")
        elif isinstance(segment, str):
            texts[-1] += segment
        else:
            raise InputError(f"A segment must be a text or a hole, not {type(segment).__name__}.")
    if not holes:
        raise InputError("There is no hole to fill: at least one segment must be a hole.")
    return texts, holes


def share_budget(budget: int, wants: Sequence[int], weights: Sequence[int]) -> list[int]:
    """Split a budget in proportion to the weights; what one part does not want passes to the others."""
    granted = [0] * len(wants)
    waiting = [i for i, want in enumerate(wants) if want > 0]
    while waiting:
        total = sum(weights[i] for i in waiting)
        content = [i for i in waiting if wants[i] * total <= budget * weights[i]]
        for i in content or waiting:
            granted[i] = wants[i] if content else budget * weights[i] // total
        budget -= sum(granted[i] for i in content)
        waiting = [i for i in waiting if i not in content] if content else []
    return granted


def fit_holes(holes: Sequence[Hole], positions: int) -> list[Hole]:
    """The holes with `max_tokens` lowered, where needed, so that together they take half of the model's positions.

    The other half is context. Exact lengths stay. Raises InputError where not even these fit.
    """
    exact = sum(hole.length or 0 for hole in holes)
    free = [hole for hole in holes if hole.length is None]
    if exact + len(free) > positions:
        raise InputError(
            f"The holes take at least {exact + len(free)} tokens together, but the model has {positions} positions."
        )
    granted = iter(share_budget(max(positions // 2 - exact, len(free)), [h.max_tokens for h in free], [1] * len(free)))
    return [hole if hole.length is not None else replace(hole, max_tokens=next(granted)) for hole in holes]


def cut_context(texts: Sequence[str], budget: int, tokenizer: CodeTokenizer) -> list[list[int]]:
    """Tokens of the n + 1 texts around n holes, at most `budget` of them, nearest to the holes.

    The texts are tokenised apart, so no token crosses the edge of a hole. Of a text between two holes that is too long
    the two ends stay. Only characters that may be kept are tokenised: the cost does not grow with the document.
    """
    reach = budget * _CHARACTERS_PER_TOKEN
    before, after = texts[0], texts[-1]
    tails = [tokenizer.encode(_last_characters(before, reach))]
    heads: list[list[int]] = [[]]
    for text in texts[1:-1]:
        whole = len(text) <= 2 * reach
        heads.append(tokenizer.encode(text if whole else _first_characters(text, reach)))
        tails.append([] if whole else tokenizer.encode(_last_characters(text, reach)))
    heads.append(tokenizer.encode(_first_characters(after, reach)))
    tails.append([])

    wants = [len(head) + len(tail) for head, tail in zip(heads, tails, strict=True)]
    middle = PREFIX_WEIGHT + SUFFIX_WEIGHT
    weights = [PREFIX_WEIGHT, *[middle] * (len(texts) - 2), SUFFIX_WEIGHT]
    granted = share_budget(budget, wants, weights)

    kept = [_keep_tail(tails[0], granted[0], tokenizer)]
    for head, tail, grant in zip(heads[1:-1], tails[1:-1], granted[1:-1], strict=True):
        if len(head) + len(tail) <= grant:
            kept.append(head + tail)
            continue
        head_grant = grant * SUFFIX_WEIGHT // middle
        kept.append(_keep_head(head, head_grant, tokenizer) + _keep_tail(tail or head, grant - head_grant, tokenizer))
    kept.append(_keep_head(heads[-1], granted[-1], tokenizer))
    return kept


def _last_characters(text: str, count: int) -> str:
    start = len(text) - count
    if start <= 0:
        return text
    line_end = text.find("\n", start, start + count // _LINE_SHARE)
    return text[start if line_end < 0 else line_end :]


def _first_characters(text: str, count: int) -> str:
    if len(text) <= count:
        return text
    line_end = text.rfind("\n", count - count // _LINE_SHARE, count)
    return text[: count if line_end < 0 else line_end + 1]


def _keep_tail(ids: list[int], count: int, tokenizer: CodeTokenizer) -> list[int]:
    start = len(ids) - count
    if start <= 0:
        return ids
    lines = (i for i in range(start, start + count // _LINE_SHARE) if tokenizer.has_newline[ids[i]])
    return ids[next(lines, start) :]


def _keep_head(ids: list[int], count: int, tokenizer: CodeTokenizer) -> list[int]:
    if len(ids) <= count:
        return ids
    lines = (i + 1 for i in range(count - 1, count - 1 - count // _LINE_SHARE, -1) if tokenizer.has_newline[ids[i]])
    return ids[: next(lines, count)]
