"""Which rows each forward of a request computes: all of them at first, and then what can have changed.

Context tokens never change while a hole is denoised, but what they attend to does: their keys and values go stale by
design (after Fast-dLLM, arXiv 2505.22618), and so do those of a hole's token once it has been computed as committed
(after dKV-Cache, arXiv 2505.15781). A full pass every `refresh` forwards bounds that; 1 is exact.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate

from torch import Tensor

from coda_model.draft import Assembled, Draft, Site
from coda_model.forward import Rows, Steps, Work
from coda_model.kv_cache import ContextCache, Memory
from coda_model.reuse import Known
from coda_model.transformer import CodaTransformer


class WindowedForward:
    """The forwards of one request.

    The first one computes the context but for what is `known` from an earlier request. Each later one computes the
    masked tokens, those that were committed since, and the rows s - 1 that predict a mask at s.
    """

    def __init__(
        self,
        model: CodaTransformer,
        texts: Sequence[Sequence[int]],
        refresh: int = 0,
        known: Known | None = None,
        keep: Callable[[ContextCache], None] = lambda _: None,
        context: ContextCache | None = None,
    ) -> None:
        """`texts` are the n + 1 token lists around the n holes; every `refresh` forwards one is a full pass (0: never).

        With a `context` all of it is known, and the first forward computes holes only. `keep` is given the context at
        once when it is computed: the next keystroke may cancel the request.
        """
        self._model = model
        self._texts = texts
        self._refresh = refresh
        self._known = known
        self._keep = keep
        self._context = context
        self._since_full_pass = 0
        self._sequences: list[_Sequence] = []

    def __call__(self, drafts: Sequence[Draft], assembled: Sequence[Assembled]) -> Steps[list[Tensor]]:
        """Last hidden states [sites, D] of each draft."""
        if self._context is None and self._refresh != 1:
            hidden = yield from self.read_context(drafts[0], assembled[0])
            if all(ids == assembled[0][0] for ids, _ in assembled):
                return [hidden] * len(drafts)
        full = self._context is None or 0 < self._refresh <= self._since_full_pass
        self._since_full_pass = 1 if full else self._since_full_pass + 1
        self._sequences = [self._sequence(draft) for draft in drafts]
        return (
            yield Work(
                [sequence.rows(*whole, full) for sequence, whole in zip(self._sequences, assembled, strict=True)]
            )
        )

    @property
    def knows_context(self) -> bool:
        """Whether the next forward is one of holes only; exact forwards never are."""
        return self._context is not None

    def read_context(self, draft: Draft, assembled: Assembled) -> Steps[Tensor]:
        """Last hidden states [sites, D] of the first forward, of one draft: what is not known of the context, and the
        holes."""
        sequence = _Sequence(self._model, self._texts, draft)
        self._sequences = [sequence]
        if self._known is not None:
            sequence.take(self._known)
        rows = sequence.rows(*assembled, full=self._known is None)
        self._known = None
        (hidden,) = yield Work([rows])
        self._since_full_pass = 1
        self._context = sequence.context
        self._keep(sequence.context)
        return hidden

    def without_heads(self, lengths: Sequence[int]) -> tuple["WindowedForward", list[list[int]]]:
        """Forwards of the same texts without the first `lengths[i]` tokens of each, and these texts."""
        texts = [list(text[length:]) for text, length in zip(self._texts, lengths, strict=True)]
        starts = [0, *accumulate(map(len, self._texts))]
        left = [
            start + index
            for start, text, length in zip(starts, self._texts, lengths, strict=False)
            for index in range(length, len(text))
        ]
        context = None if self._context is None else self._context.rearranged(left, range(len(left)), len(left))
        return WindowedForward(self._model, texts, self._refresh, context=context), texts

    def _sequence(self, draft: Draft) -> "_Sequence":
        """That of the last forward, or for a draft that was not in it one that starts from the context."""
        known = (sequence for sequence in self._sequences if sequence.draft is draft)
        return next(known, None) or _Sequence(self._model, self._texts, draft, self._context)


class _Sequence:
    """One draft's tokens, what is known of them, and where they stand.

    Its memory holds the context's tokens in order, and behind them those of the holes in order. `context` is what the
    keys are rotated from when the context moves.
    """

    def __init__(
        self,
        model: CodaTransformer,
        texts: Sequence[Sequence[int]],
        draft: Draft,
        context: ContextCache | None = None,
    ) -> None:
        self.draft = draft
        self._config = model.config
        self._text_of = [number for number, text in enumerate(texts) for _ in text]
        self._ends = list(accumulate(map(len, texts)))
        weight = model.model.norm.weight
        self._place = (weight.dtype, weight.device)
        self._fresh: list[int] = []
        self._seen: list[int] = []  # the holes' tokens as they were computed last, empty where they have moved since
        self._lengths: list[int] = []
        self._positions: list[int] = []
        self._slot_at: list[int] = []
        self._memory: Memory | None = None
        self.context = context or ContextCache.empty(self._config, len(self._text_of), *self._place)

    def take(self, known: Known) -> None:
        """Start from what is known of the context; the other tokens are computed with the next rows."""
        kept = set(known.target)
        self._fresh = [index for index in range(len(self._text_of)) if index not in kept]
        self.context = known.cache.rearranged(known.source, known.target, len(self._text_of))

    def rows(self, ids: Sequence[int], sites: Sequence[Site], full: bool) -> Rows:
        """The rows of the next forward, all of them with `full`; then they count as computed."""
        total = len(self._text_of)
        self._move([len(hole.slots) for hole in self.draft.holes], full)
        memory = self._memory
        assert memory is not None
        holes = [ids[position] for position in self._positions[total:]]
        wanted = [self._slot_at[site.row] for site in sites]
        record = None
        if full:
            slots = list(range(total + len(holes)))
            # Others may hold the old tensors.
            record = self.context = ContextCache.empty(self._config, total, *self._place)
        else:
            mask_id = self._config.mask_token_id
            seen = self._seen or [None] * len(holes)
            changed = (
                total + index
                for index, (token, before) in enumerate(zip(holes, seen, strict=True))
                if token == mask_id or token != before
            )
            slots = sorted({*self._fresh, *changed, *wanted})
            record = self.context if self._fresh else None
        self._seen, self._fresh = holes, []
        row_of = {slot: row for row, slot in enumerate(slots)}
        positions = [self._positions[slot] for slot in slots]
        return Rows(
            memory=memory,
            ids=[ids[position] for position in positions],
            positions=positions,
            slots=slots,
            wanted=[row_of[slot] for slot in wanted],
            attended=total + len(holes),
            record=record,
            recorded=sum(slot < total for slot in slots) if record is not None else 0,
        )

    def _move(self, lengths: list[int], full: bool) -> None:
        """Put the tokens where they stand with holes of these lengths; keys that move are rotated anew."""
        if lengths == self._lengths:
            return
        total = len(self._text_of)
        shift = [0, *accumulate(lengths)]
        starts = [end + moved for end, moved in zip(self._ends, shift, strict=True)]
        holes = [start + i for start, length in zip(starts, lengths, strict=False) for i in range(length)]
        self._positions = [index + shift[number] for index, number in enumerate(self._text_of)] + holes
        self._slot_at = [0] * len(self._positions)
        for slot, position in enumerate(self._positions):
            self._slot_at[position] = slot
        first = 0  # of the context's tokens that move
        if self._memory is not None:
            first = next(end for end, new, old in zip(self._ends, lengths, self._lengths, strict=False) if new != old)
        self._lengths, self._seen = lengths, []
        if self._memory is None:
            self._memory = Memory(self._config, total, len(holes), *self._place)
            if not full:
                self._memory.load(self.context)
        self._memory.reserve(len(self._positions))
        if not full:
            self._memory.place(self.context, first, self._positions[first:total])
