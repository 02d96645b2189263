"""Forwards that compute a hole's rows only, against keys and values of the context that one full pass has stored.

Context tokens never change while a hole is denoised, but what they attend to does: their keys and values go stale by
design (after Fast-dLLM, arXiv 2505.22618). A full pass every `refresh` forwards bounds that; 1 would be exact.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from coda_model.draft import Assembled, Draft
from coda_model.kv_cache import ContextCache, Memory
from coda_model.reuse import Known
from coda_model.transformer import CodaTransformer


@dataclass(frozen=True)
class _Layout:
    """Where the rows of a forward stand, as long as no hole grows or shrinks.

    `places` are the positions of each draft's rows, padded with 0 up to the longest; `row_of` gives the row at a
    position.
    """

    drafts: list[Draft]
    lengths: list[list[int]]
    places: list[list[int]]
    row_of: list[dict[int, int]]
    positions_BxW: Tensor
    mask_BxS: Tensor | None
    memory: Memory


class WindowedForward:
    """The forwards of one request.

    The first one computes the context but for what is `known` from an earlier request. Each later one computes every
    hole's rows [s - 1, e): those that predict its tokens, and the last token, whose own key would else stay a mask's.
    """

    def __init__(
        self,
        model: CodaTransformer,
        texts: Sequence[Sequence[int]],
        refresh: int = 0,
        known: Known | None = None,
        keep: Callable[[ContextCache], None] = lambda _: None,
    ) -> None:
        """`texts` are the n + 1 token lists around the n holes; every `refresh` forwards one is a full pass (0: never).

        `keep` is given the context at once when it is computed: the next keystroke may cancel the request.
        """
        self._model = model
        self._keep = keep
        self._cache: ContextCache | None = None
        self._refresh = refresh
        self._known = known
        self._since_full_pass = 0
        self._text_of = [number for number, text in enumerate(texts) for _ in text]
        # Tokens that predict the first token of a hole: their rows are wanted at every step.
        ends = accumulate(len(text) for text in texts[:-1])
        self._edges = [end - 1 for end, text in zip(ends, texts[:-1], strict=True) if text]
        self._frozen = _without(len(self._text_of), self._edges)
        self._drafts: list[Draft] = []
        self._layout: _Layout | None = None

    @torch.inference_mode()
    def __call__(self, drafts: Sequence[Draft], assembled: Sequence[Assembled]) -> list[Tensor]:
        """Last hidden states [sites, D] of each draft."""
        if self._cache is None:
            hidden = self.read_context(drafts[0], assembled[0])
            if all(ids == assembled[0][0] for ids, _ in assembled):
                return [hidden] * len(drafts)
        if self._refresh and self._since_full_pass >= self._refresh:
            return self._compute_all(drafts, assembled)
        self._since_full_pass += 1
        return self._forward(self._step_layout(drafts), assembled)

    @torch.inference_mode()
    def read_context(self, draft: Draft, assembled: Assembled) -> Tensor:
        """Last hidden states [sites, D] of the first forward, of one draft: what is not known of the context, and the
        holes."""
        known = self._known
        if known is None:
            return self._compute_all([draft], [assembled])[0]
        self._known = None
        self._since_full_pass = 1
        edges = set(self._edges)
        pairs = [(old, new) for old, new in zip(known.source, known.target, strict=True) if new not in edges]
        source, target = [old for old, _ in pairs], [new for _, new in pairs]
        fresh = _without(len(self._text_of), target)
        layout = self._lay_out([draft], fresh, target, known.cache, source)
        layout.memory.record()
        (hidden,) = self._forward(layout, [assembled])
        self._store([draft], known.cache.replaced(source, target, layout.memory.recorded(len(fresh))))
        return hidden

    def _compute_all(self, drafts: Sequence[Draft], assembled: Sequence[Assembled]) -> list[Tensor]:
        """A full pass; what it computes of the context is kept."""
        layout = self._lay_out(drafts, range(len(self._text_of)), [])
        layout.memory.record()
        hidden = self._forward(layout, assembled)
        self._store(drafts, layout.memory.recorded(len(self._text_of)))
        self._since_full_pass = 1
        return hidden

    def _store(self, drafts: Sequence[Draft], cache: ContextCache) -> None:
        self._cache, self._drafts, self._layout = cache, list(drafts), None
        self._keep(cache.rows([0]))

    def _step_layout(self, drafts: Sequence[Draft]) -> _Layout:
        """The layout of the last step, where nothing has moved since."""
        assert self._cache is not None, "the context is read first"
        if self._layout is None or self._layout.lengths != _lengths(drafts) or not _same(self._layout.drafts, drafts):
            cache = self._cache
            if len(self._drafts) > 1:
                cache = cache.rows([next(i for i, one in enumerate(self._drafts) if one is draft) for draft in drafts])
            self._layout = self._lay_out(drafts, self._edges, self._frozen, cache, self._frozen)
        return self._layout

    def _lay_out(
        self,
        drafts: Sequence[Draft],
        computed: Sequence[int],
        frozen: Sequence[int],
        cache: ContextCache | None = None,
        source: Sequence[int] = (),
    ) -> _Layout:
        """Rows for the context tokens `computed` and all holes; the tokens `frozen` are `source` in the cache."""
        places, frozen_places = [], []
        for lengths in _lengths(drafts):
            shift = [0, *accumulate(lengths)]
            rows = [index + shift[self._text_of[index]] for index in computed]
            end = 0
            for number, length in enumerate(lengths):
                end += self._text_of.count(number)
                rows += range(end + shift[number], end + shift[number] + length)
            places.append(rows)
            frozen_places.append([index + shift[self._text_of[index]] for index in frozen])
        device = self._model.model.embed_tokens.weight.device
        width = max(map(len, places))
        mask_BxS = None
        if any(len(rows) < width for rows in places):
            reach_B = torch.tensor([len(frozen) + len(rows) for rows in places], device=device)
            mask_BxS = torch.arange(len(frozen) + width, device=device) < reach_B[:, None]
        positions_BxC = torch.tensor(frozen_places, dtype=torch.int64, device=device)
        padded = [[*rows, *[0] * (width - len(rows))] for rows in places]
        return _Layout(
            drafts=list(drafts),
            lengths=_lengths(drafts),
            places=padded,
            row_of=[{place: row for row, place in enumerate(rows)} for rows in places],
            positions_BxW=torch.tensor(padded, device=device),
            mask_BxS=mask_BxS,
            memory=Memory(
                self._model.config, self._model.model.embed_tokens.weight.dtype, width, positions_BxC, cache, source
            ),
        )

    def _forward(self, layout: _Layout, assembled: Sequence[Assembled]) -> list[Tensor]:
        device = layout.positions_BxW.device
        ids_BxW = torch.tensor(
            [[ids[place] for place in places] for (ids, _), places in zip(assembled, layout.places, strict=True)],
            device=device,
        )
        hidden_BxWxD = self._model.hidden_states(
            ids_BxW, positions_BxL=layout.positions_BxW, attention_mask_BxL=layout.mask_BxS, memory=layout.memory
        )
        return [
            hidden_WxD[torch.tensor([row_of[site.row] for site in sites], dtype=torch.int64, device=device)]
            for hidden_WxD, row_of, (_, sites) in zip(hidden_BxWxD, layout.row_of, assembled, strict=True)
        ]


def _without(total: int, indices: Sequence[int]) -> list[int]:
    left_out = set(indices)
    return [index for index in range(total) if index not in left_out]


def _lengths(drafts: Sequence[Draft]) -> list[list[int]]:
    return [[len(hole.slots) for hole in draft.holes] for draft in drafts]


def _same(one: Sequence[Draft], other: Sequence[Draft]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
