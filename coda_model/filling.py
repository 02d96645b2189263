"""One request from its texts to its candidates: context, first guesses, steps until no mask is left, ranking."""

import math
import time
from collections.abc import Generator, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch

from coda_model.confidence import Calibration, Evidence
from coda_model.context import cut_context
from coda_model.denoise import Denoiser
from coda_model.draft import Draft, OpenHole
from coda_model.first_drafts import FirstDrafts
from coda_model.forward import Steps, Work
from coda_model.heal import Edges, open_edges
from coda_model.length import Baselines, Start, best_lengths, first_starts, length_grid
from coda_model.lookup import Continuation
from coda_model.ranking import agreements, score
from coda_model.redraft import ROUNDS, drafted_tokens, keep_likely
from coda_model.request import Candidate, Hole, InfillOptions, InfillResult, LengthPolicy, Progress, Timings
from coda_model.reuse import DocumentStore
from coda_model.shorten import shortened
from coda_model.snippets import encode_snippets
from coda_model.syntax import DocumentSyntax
from coda_model.tokenizer import CodeTokenizer
from coda_model.transformer import CodaTransformer
from coda_model.windowed import WindowedForward

# Characters of a hint that are tokenised, for each token its hole may hold.
_HINT_CHARACTERS = 16
# Bytes of keys and values that drafts computed in one forward may take: a grid of more lengths is scored in parts, of
# more drafts only the first are denoised.
_MOST_MEMORY = 2**29
# The share of a fill that nothing was compared with.
_ALONE = 0.5
# Fills begin alike where one begins with half of the other, and with so many characters.
_LEAST_ALIKE = 3
# A logarithm that is as good as that of 0, and a number in JSON.
_LEAST_LOG = -1e6
# Starts that stay where lines that bind a needed name take the place of others.
_LEAST_STARTS = 4


class _Ranked(NamedTuple):
    """A draft that is complete: its rank, the errors of the document with its fills, and where they were found."""

    score: float
    errors: int
    fills: tuple[str, ...]
    draft: Draft
    found: Continuation | None


Plan = Generator[Work | Progress | InfillResult, Any, None]
"""A request under way: asks for forwards, reports its progress, ends with its result."""


class Filling:
    """The state of one request: `plan` runs it, once."""

    def __init__(
        self,
        model: CodaTransformer,
        tokenizer: CodeTokenizer,
        documents: DocumentStore,
        baselines: Baselines,
        options: InfillOptions,
        calibration: Calibration | None,
    ) -> None:
        self._calibration = calibration
        self._model = model
        self._tokenizer = tokenizer
        self._documents = documents
        self._baselines = baselines
        self._options = options
        self._step = 0
        self._model_s = 0.0
        self._started = time.perf_counter()

    @torch.inference_mode()
    def plan(self, texts: list[str], holes: list[Hole], budget: int) -> Plan:
        """Fill the holes between the n + 1 texts, of which the model sees at most `budget` tokens."""
        options, tokenizer = self._options, self._tokenizer
        snippets = encode_snippets(options.snippets, min(options.snippet_tokens, budget), tokenizer)
        document = cut_context(texts, budget - len(snippets), tokenizer)
        edges = [Edges()] * len(holes)
        if options.heal:
            document, edges = open_edges(document, holes, tokenizer)
        context = [snippets + document[0], *document[1:]]
        first = FirstDrafts(self._model, tokenizer, options, context)
        hints = [self._hint_tokens(hole) for hole in holes]
        tokenized = time.perf_counter()
        known = None if options.refresh == 1 else self._documents.find([snippets, *document])
        keep = partial(self._documents.keep, [snippets, *document], known)
        windowed = WindowedForward(self._model, context, options.refresh, known, keep)
        returns = any("\r" in text for text in texts)
        denoiser = Denoiser(self._model, tokenizer, options, returns, windowed)
        policy = self._length_policy(holes)
        drafted = [drafted_tokens(hole, edge, tokenizer) for hole, edge in zip(holes, edges, strict=True)]
        if policy == "grid" and not any(drafted):
            grids = [length_grid(hole, hint) for hole, hint in zip(holes, hints, strict=True)]
            starts = yield from self._score_grids(denoiser, windowed, first, holes, edges, grids)
        else:
            starts = [self._starts(*of_hole) for of_hole in zip(holes, hints, drafted, edges, strict=True)]
        # Of a selection of several lines the fill is one of several, too.
        may_be_line = policy != "fixed" and len(holes) == 1 and (holes[0].single_line or not hints[0])
        binding: list[Draft] = []
        if may_be_line and not any(drafted):
            binding = first.binding(texts[0], texts[1], holes[0], edges[0])
            starts = [starts[0][: max(len(starts[0]) - len(binding), _LEAST_STARTS)]]
        drafts = first.of_starts(holes, edges, starts, max(map(len, starts)) + options.candidates - 1) + binding
        if may_be_line:
            others = "".join(f"{snippet.text}\n" for snippet in options.snippets)
            drafts += first.looked_up(others + texts[0], texts[1], holes[0], edges[0])
        drafts = self._parts(drafts)[0]
        rounds = ROUNDS if any(drafted) else 0
        while rounds and drafts[0].masked:
            kept = yield from self._timed(keep_likely(denoiser, drafts[0], drafted), drafts)
            rounds = rounds - 1 if kept else 0
        if any(drafted) and not drafts[0].masked:
            drafts = drafts[: options.candidates]  # what was there before fits as well as ever: nothing is to be found
        if len(drafts) > 1 and options.steps is None and options.refresh != 1 and not windowed.knows_context:
            # The forward that reads the context is of one draft; its step there comes for nothing.
            yield from self._timed(denoiser.step(drafts[:1], None), drafts)
        compared = len(drafts) > 1
        yield from self._denoise(denoiser, drafts)
        syntax = DocumentSyntax(texts, options.language)
        may_shorten = policy != "fixed" and len(holes) == 1 and syntax.has_grammar
        ranked = yield from self._rank(denoiser, windowed, drafts, edges, syntax, may_shorten)
        shares = list(zip(_shares(ranked), _alike(ranked), strict=True)) if compared else [(_ALONE, _ALONE)]
        candidates = [self._candidate(each, *share) for each, share in zip(ranked, shares, strict=True)]
        if may_shorten and (start := self._shorter(ranked, syntax, edges[0])):
            number, fill, tokens = start
            shorter = ranked[number]._replace(fills=(fill,), found=None)
            candidates.insert(0, self._candidate(shorter, *shares[number], tokens))
        timings = Timings(
            tokenize_ms=(tokenized - self._started) * 1e3,
            model_ms=self._model_s * 1e3,
            total_ms=(time.perf_counter() - self._started) * 1e3,
        )
        yield InfillResult(tuple(candidates[: options.candidates]), self._step, policy, timings)

    def _length_policy(self, holes: list[Hole]) -> LengthPolicy:
        if all(hole.length is not None for hole in holes):
            return "fixed"
        return "expand-delete" if self._model.config.finds_length else "grid"

    def _starts(self, hole: Hole, hint_tokens: int, drafted: list[int], edge: Edges) -> list[Start]:
        """What to start from: the length of an earlier answer, and for a model that finds lengths other ones too."""
        of_draft = [Start(max(len(drafted) - edge.tokens, 1), hole.length is not None)] if drafted else []
        if self._model.config.finds_length or not drafted:
            starts = self._options.starts if self._options.algorithm == "entropy_bound" else 1
            return of_draft + first_starts(hole, hint_tokens, starts)
        return of_draft

    def _hint_tokens(self, hole: Hole) -> int:
        return len(self._tokenizer.encode((hole.hint or "")[: hole.max_tokens * _HINT_CHARACTERS]))

    def _timed(self, steps: Steps[Any], drafts: Sequence[Draft]) -> Generator[Work | Progress, Any, Any]:
        """Run steps of one forward, and report it."""
        before = time.perf_counter()
        value = yield from steps
        self._model_s += time.perf_counter() - before
        self._step += 1
        masked = max(draft.masked for draft in drafts)
        most = max(self._options.steps or self._step + masked, self._step)
        yield Progress(step=self._step, steps=min(self._step + masked, most), masked=masked)
        return value

    def _score_grids(
        self,
        denoiser: Denoiser,
        windowed: WindowedForward,
        first: FirstDrafts,
        holes: list[Hole],
        edges: list[Edges],
        grids: list[list[int]],
    ) -> Generator[Work | Progress, Any, list[list[Start]]]:
        """The best two lengths of each hole by its first step's confidence; several holes walk their grids together."""
        rounds = range(max(map(len, grids)))
        starts = [[Start(lengths[min(i, len(lengths) - 1)], True) for lengths in grids] for i in rounds]
        grid = [first.of_start(holes, edges, of_round) for of_round in starts]
        if self._options.refresh != 1:
            assembled = grid[0].assemble(self._model.config.mask_token_id)
            yield from self._timed(windowed.read_context(grid[0], assembled), grid)
        yield from self._measure_baselines(denoiser, holes, grids)
        means: list[list[float]] = []
        for part in self._parts(grid):
            means += yield from self._timed(denoiser.first_step_confidence(part), grid)
        best = []
        for hole, lengths, of_hole in zip(holes, grids, zip(*means, strict=True), strict=True):
            compared = self._baselines.compared(lengths, of_hole[: len(lengths)], hole)
            best.append([Start(length, True) for length in best_lengths(lengths, compared, count=2)])
        return best

    def _measure_baselines(
        self, denoiser: Denoiser, holes: list[Hole], grids: list[list[int]]
    ) -> Generator[Work | Progress, Any, None]:
        """See how sure the model is of masks alone, at each length that has not been asked for before."""
        texts = [[self._model.config.bos_token_id], []]
        alone = WindowedForward(self._model, texts, refresh=1)
        first = FirstDrafts(self._model, self._tokenizer, self._options, texts)
        for hole, lengths in zip(holes, grids, strict=True):
            missing = self._baselines.missing(lengths, hole)
            drafts = [first.of_start([hole], [Edges()], [Start(length, True)]) for length in missing]
            for part in self._parts(drafts):
                means = yield from self._timed(denoiser.with_forward(alone).first_step_confidence(part), part)
                self._baselines.note([len(draft.holes[0].slots) for draft in part], [mean for (mean,) in means], hole)

    def _parts(self, drafts: list[Draft]) -> list[list[Draft]]:
        """The drafts in parts whose keys and values may be held at one time."""
        config = self._model.config
        token = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
        longest = max((sum(map(len, draft.texts)) + draft.masked for draft in drafts), default=1)
        size = max(_MOST_MEMORY // (token * longest * self._model.model.norm.weight.element_size()), 1)
        return [drafts[start : start + size] for start in range(0, len(drafts), size)]

    def _denoise(self, denoiser: Denoiser, drafts: list[Draft]) -> Generator[Work | Progress, Any, None]:
        """Steps until no mask is left. With `remask`, what a draft was not sure of is then masked again, once."""
        options = self._options
        final: set[int] = set()
        while any(draft.masked for draft in drafts):
            steps_left = None if options.steps is None else max(options.steps - self._step, 1)
            if self._is_late(2):
                steps_left = 1  # there is no time for a step after this one
            yield from self._timed(denoiser.step(drafts, steps_left), drafts)
            drafts[:] = _distinct(drafts)
            if options.remask and steps_left != 1:
                for draft in drafts:
                    if not draft.masked and id(draft) not in final:
                        final.add(id(draft))
                        draft.reopen(options.remask)

    def _is_late(self, steps: int) -> bool:
        """Whether so many more steps of the usual time would end after the deadline."""
        step_s = self._model_s / self._step if self._step else 0.0
        spent_s = time.perf_counter() - self._started + steps * step_s
        return self._options.deadline_ms is not None and spent_s * 1e3 >= self._options.deadline_ms

    def _rank(
        self,
        denoiser: Denoiser,
        windowed: WindowedForward,
        drafts: list[Draft],
        edges: list[Edges],
        syntax: DocumentSyntax,
        count_errors: bool,
    ) -> Generator[Work | Progress, Any, list[_Ranked]]:
        """Different fills, best first. Errors are counted of several ones, and of one where asked for."""
        different: dict[tuple[str, ...], Draft] = {}
        found: dict[tuple[str, ...], Continuation] = {}
        for draft in drafts:
            fills = tuple(self._tokenizer.decode(hole.tokens) for hole in draft.holes)
            if draft.found:
                found[fills] = draft.found
            other = different.get(fills)
            if other is None or draft.mean_log_probability() > other.mean_log_probability():
                different[fills] = draft
        agreement = [0.0] * len(different)
        if len(different) > 1 and not self._is_late(1):
            agreement = yield from self._timed(agreements(denoiser, windowed, list(different.values())), drafts)
        ranked = []
        for (fills, draft), agrees in zip(different.items(), agreement, strict=True):
            inner = tuple(edge.inner(fill) for edge, fill in zip(edges, fills, strict=True))
            errors = syntax.errors(inner) if len(different) > 1 or count_errors else 0
            missing = syntax.missing_names(inner) if len(different) > 1 else 0
            is_blank = not "".join(inner).strip()
            rank = score(
                draft.mean_log_probability(), draft.log_length(), agrees, errors, missing, is_blank, found.get(fills)
            )
            ranked.append(_Ranked(rank, errors, inner, draft, found.get(fills)))
        return sorted(ranked, key=lambda each: -each.score)

    def _shorter(self, ranked: Sequence[_Ranked], syntax: DocumentSyntax, edge: Edges) -> tuple[int, str, int] | None:
        """The start of the only hole's fill that takes an error away: of which fill it is, its text and its tokens."""
        texts = [each.fills[0] for each in ranked]
        shorter = shortened(texts, lambda fill: syntax.errors([fill]), least=min(each.errors for each in ranked))
        if shorter is None:
            return None
        number, text = shorter
        return number, text, self._tokens_of(edge.opening + text, ranked[number].draft.holes[0])

    def _candidate(self, ranked: _Ranked, share: float, alike: float, tokens: int | None = None) -> Candidate:
        """A draft's fills as an answer; `tokens` of them where the fill of the only hole is the start of it."""
        draft = ranked.draft
        values = [hole.log_probabilities[:tokens] for hole in draft.holes]
        evidence = Evidence(
            log_share=math.log(share) if share else _LEAST_LOG,
            alike=alike,
            same=ranked.found.same if ranked.found else 0,
            renamed=bool(ranked.found and ranked.found.renamed),
            others=ranked.found.others if ranked.found else 0,
            characters=sum(len(fill.strip()) for fill in ranked.fills),
        )
        mean = draft.mean_log_probability() if tokens is None else sum(values[0]) / len(values[0])
        return Candidate(
            fills=ranked.fills,
            confidence=self._calibration.confidence(evidence) if self._calibration else math.exp(mean),
            token_confidences=tuple(tuple(map(math.exp, of_hole)) for of_hole in values),
            evidence=evidence,
        )

    def _tokens_of(self, text: str, hole: OpenHole) -> int:
        """How many of a hole's tokens its first characters, `text`, take."""
        counts = range(1, len(hole.tokens))
        return next((n for n in counts if len(self._tokenizer.decode(hole.tokens[:n])) >= len(text)), len(hole.tokens))


def _shares(ranked: Sequence[_Ranked]) -> list[float]:
    """The share of each among all, each of which counts e to the power of its rank."""
    weights = [math.exp(each.score - ranked[0].score) if each.score > ranked[0].score - 700 else 0.0 for each in ranked]
    total = sum(weights) or 1.0
    return [weight / total for weight in weights]


def _alike(ranked: Sequence[_Ranked]) -> list[float]:
    """For each the share of all that begin as it does; those of several holes are compared one after the other."""
    texts = ["".join(each.fills).strip() for each in ranked]
    heads = [text[: max(len(text) // 2, _LEAST_ALIKE)] for text in texts]
    return [sum(text.startswith(head) for text in texts) / len(texts) for head in heads]


def _distinct(drafts: Sequence[Draft]) -> list[Draft]:
    """The drafts without those that have come to where an earlier one is, and would go on as it does."""
    seen: set[tuple] = set()
    kept = []
    for draft in drafts:
        state = tuple((hole.may_expand, hole.single_line, *hole.slots, *(hole.given or ())) for hole in draft.holes)
        if draft.temperature > 0 or state not in seen:
            kept.append(draft)
        if draft.temperature == 0:
            seen.add(state)
    return kept
