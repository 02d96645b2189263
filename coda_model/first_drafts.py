"""The drafts of a request at its start: masks of several lengths, tokens found elsewhere, a needed name and masks."""

from collections.abc import Sequence

import torch

from coda_model.bindings import needed_binding
from coda_model.draft import MASK, Draft, OpenHole
from coda_model.heal import Edges
from coda_model.length import Start
from coda_model.lookup import proposals
from coda_model.request import Hole, InfillOptions
from coda_model.tokenizer import CodeTokenizer
from coda_model.transformer import CodaTransformer

# Alternatives beyond those that start apart are drawn at this temperature at least, or they would all be the first one.
_ALTERNATIVE_TEMPERATURE = 0.7


class FirstDrafts:
    """Makes drafts of holes between the tokens of `texts`."""

    def __init__(
        self, model: CodaTransformer, tokenizer: CodeTokenizer, options: InfillOptions, texts: list[list[int]]
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._options = options
        self._texts = texts

    def of_starts(
        self, holes: Sequence[Hole], edges: Sequence[Edges], starts: Sequence[Sequence[Start]], count: int
    ) -> list[Draft]:
        """`count` drafts: the first of each choice of starts at the wanted temperature, the others warmer."""
        choices = max(map(len, starts))
        wanted = self._options.temperature
        warm = max(wanted, _ALTERNATIVE_TEMPERATURE)
        return [
            self.of_start(
                holes,
                edges,
                [options_of_hole[i % choices % len(options_of_hole)] for options_of_hole in starts],
                wanted if i < choices else warm,
                self._options.seed + (i if i < choices else i - choices + 1),
            )
            for i in range(count)
        ]

    def of_start(
        self,
        holes: Sequence[Hole],
        edges: Sequence[Edges],
        starts: Sequence[Start],
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Draft:
        """All masks: each hole with its start."""
        tokenizer = self._tokenizer
        open_holes = [
            OpenHole(
                slots=[MASK] * (start.tokens + edge.tokens),
                max_tokens=hole.max_tokens + edge.tokens,
                fixed=start.fixed or not self._model.config.finds_length,
                single_line=hole.single_line or start.one_line,
                expansions_left=hole.max_tokens,
                opening=tokenizer.starting_with(edge.opening) if edge.opening else None,
                closing=tokenizer.ending_with(edge.closing) if edge.closing else None,
            )
            for hole, edge, start in zip(holes, edges, starts, strict=True)
        ]
        device = self._model.model.embed_tokens.weight.device
        return Draft(self._texts, open_holes, temperature, torch.Generator(device).manual_seed(seed))

    def looked_up(self, before: str, after: str, hole: Hole, edge: Edges) -> list[Draft]:
        """Drafts whose tokens stand elsewhere in the texts around the hole, after the same words."""
        drafts = []
        for found in proposals(before, after, self._options.lookups):
            tokens = self._tokenizer.encode(edge.opening + found.text + edge.closing)
            if draft := self._given(hole, edge, tokens):
                draft.found = found
                drafts.append(draft)
        return drafts

    def binding(self, before: str, after: str, hole: Hole, edge: Edges) -> list[Draft]:
        """Drafts that begin by binding a name that the code behind the hole needs."""
        if self._options.algorithm != "entropy_bound" or self._options.starts == 1:
            return []
        binding = needed_binding(before, after, self._options.language)
        if binding is None:
            return []
        head, tail = self._tokenizer.encode(edge.opening + binding.head), self._tokenizer.encode(edge.closing)
        drafts = [self._given(hole, edge, [*head, *[None] * length, *tail]) for length in binding.lengths]
        return [draft for draft in drafts if draft]

    def _given(self, hole: Hole, edge: Edges, tokens: Sequence[int | None]) -> Draft | None:
        """A draft of one line with given tokens; None where they are more than the hole may hold."""
        if len(tokens) > hole.max_tokens + edge.tokens:
            return None
        draft = self.of_start([hole], [Edges()], [Start(len(tokens), True, one_line=True)])
        draft.holes[0].given = tokens
        return draft
