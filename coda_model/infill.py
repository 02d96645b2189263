"""Filling holes in a document: the one entry point of library, service and command line."""

import math
import time
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor

from coda_model.checkpoint import read_config, read_weights
from coda_model.context import cut_context, fit_holes, split_segments
from coda_model.denoise import Denoiser
from coda_model.draft import MASK, Draft, OpenHole
from coda_model.forward import Work, compute
from coda_model.length import best_lengths, first_guess, length_grid, unbalanced_brackets
from coda_model.locate import checkpoint_name, locate_checkpoint
from coda_model.placement import NumberFormat, resolve_device, resolve_format
from coda_model.request import Candidate, Hole, InfillOptions, InfillResult, LengthPolicy, Progress, Segment, Timings
from coda_model.reuse import DocumentStore
from coda_model.snippets import encode_snippets
from coda_model.tokenizer import CodeTokenizer
from coda_model.transformer import CodaTransformer
from coda_model.windowed import WindowedForward

__all__ = ["Candidate", "Hole", "InfillOptions", "InfillResult", "Infiller", "Progress", "Segment", "Timings"]

# Candidates after the first are drawn at this temperature at least, or they would all be the first one.
_ALTERNATIVE_TEMPERATURE = 0.7
# Characters of a hint that are tokenised, for each token its hole may hold.
_HINT_CHARACTERS = 16


Plan = Generator[Work | Progress | InfillResult, Any, None]
"""A request under way: asks for forwards, reports its progress, ends with its result."""


class Infiller:
    """A model that fills holes; one thread uses it at a time.

    With `kept_documents` it keeps the keys and values of that many documents' contexts, so that a request after a
    keystroke computes only what changed. What it then answers may depend a little on the requests before. With 0, the
    default, it has no state between requests.
    """

    def __init__(
        self,
        model: CodaTransformer,
        tokenizer: CodeTokenizer,
        name: str,
        path: str,
        kept_documents: int = 0,
        number_format: NumberFormat | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.name = name
        self.path = path
        self._documents = DocumentStore(kept_documents)
        own = str(model.model.norm.weight.dtype).removeprefix("torch.")
        self.number_format = number_format or NumberFormat(own)

    @classmethod
    def from_pretrained(
        cls, path: str = "bundled", device: str = "cpu", dtype: str = "float32", kept_documents: int = 0
    ) -> Self:
        """Load `bundled`, a checkpoint folder or a Hub id. Raises CodaError in one sentence where that fails."""
        place = resolve_device(device)
        number_format = resolve_format(dtype, place)
        folder = locate_checkpoint(path)
        config = read_config(folder)
        tokenizer = CodeTokenizer.from_folder(folder, config.vocab_size)
        model = read_weights(folder, config, place, number_format)
        return cls(model, tokenizer, checkpoint_name(path), str(folder), kept_documents, number_format)

    def run(self, segments: Sequence[Segment], options: InfillOptions) -> Iterator[Progress | InfillResult]:
        """Fill the holes step by step: a Progress after every forward of the model, the InfillResult at last.

        Nothing is computed between two items, so closing the iterator stops all work. Deterministic for equal
        arguments, unless documents are kept. Raises InputError where there is no hole or the holes do not fit into the
        model's positions.
        """
        return self._drive(self.plan(segments, options))

    def _drive(self, plan: Plan) -> Iterator[Progress | InfillResult]:
        for item in plan:
            while isinstance(item, Work):
                item = plan.send(*self.compute([item]))
            yield item

    def compute(self, works: Sequence[Work]) -> list[list[Tensor]]:
        """What the plans of one or several requests wait for, from one forward of the model."""
        return compute(self.model, works)

    def plan(self, segments: Sequence[Segment], options: InfillOptions) -> Plan:
        """As `run`, but each forward is asked for: a Work, to be sent its hidden states, comes before each Progress."""
        started = time.perf_counter()
        texts, holes = split_segments(segments)
        positions = self.model.config.max_position_embeddings
        holes = fit_holes(holes, positions)
        room = positions - sum(hole.length or hole.max_tokens for hole in holes)
        return self._run(texts, holes, options, min(options.context_tokens, room), started)

    def fill(self, segments: Sequence[Segment], **options: Any) -> InfillResult:
        """Fill the holes at once; the keywords are the fields of InfillOptions."""
        *_, result = self.run(segments, InfillOptions(**options))
        assert isinstance(result, InfillResult)
        return result

    def info(self) -> dict[str, Any]:
        """What is loaded: the fields of GET /v1/info in docs/protocol.md."""
        config = self.model.config
        weight = self.model.model.embed_tokens.weight
        return {
            "model": self.name,
            "path": self.path,
            "device": str(weight.device),
            "dtype": self.number_format.name,
            "measured_ms": self.number_format.measured_ms or None,
            "parameters": config.parameters,
            "vocabulary": config.vocab_size,
            "layers": config.num_hidden_layers,
            "hidden": config.hidden_size,
            "max_positions": config.max_position_embeddings,
            "length": "expand-delete" if config.finds_length else "grid",
        }

    @torch.inference_mode()
    def _run(self, texts: list[str], holes: list[Hole], options: InfillOptions, budget: int, started: float) -> Plan:
        snippets = encode_snippets(options.snippets, min(options.snippet_tokens, budget), self.tokenizer)
        document = cut_context(texts, budget - len(snippets), self.tokenizer)
        context = [snippets + document[0], *document[1:]]
        hints = [self._hint_tokens(hole) for hole in holes]
        tokenized = time.perf_counter()
        known = None if options.refresh == 1 else self._documents.find([snippets, *document])
        keep = partial(self._documents.keep, [snippets, *document], known)
        windowed = WindowedForward(self.model, context, options.refresh, known, keep)
        denoiser = Denoiser(self.model, self.tokenizer, options, any("\r" in text for text in texts), windowed)
        policy = self._length_policy(holes)
        step, model_s = 0, 0.0
        if policy == "grid":
            before = time.perf_counter()
            grids = [length_grid(hole, hint) for hole, hint in zip(holes, hints, strict=True)]
            grid = self._grid(context, holes, grids)
            if options.refresh != 1:
                yield from windowed.read_context(grid[0], grid[0].assemble(self.model.config.mask_token_id))
                model_s, step = time.perf_counter() - before, 1
                yield _progress(grid, step, options)
                before = time.perf_counter()
            means = yield from denoiser.first_step_confidence(grid)
            lengths = [
                best_lengths(lengths, [means[i][hole] for i in range(len(lengths))], count=2)
                for hole, lengths in enumerate(grids)
            ]
            model_s, step = model_s + time.perf_counter() - before, step + 1
            drafts = self._start(context, holes, lengths, options, count=max(2, options.candidates))
            yield _progress(drafts, step, options)
        else:
            lengths = [[first_guess(hole, hint)] for hole, hint in zip(holes, hints, strict=True)]
            drafts = self._start(context, holes, lengths, options, count=options.candidates)
        while any(draft.masked for draft in drafts):
            before = time.perf_counter()
            steps_left = None if options.steps is None else max(options.steps - step, 1)
            step_s = model_s / step if step else 0.0
            if options.deadline_ms is not None and (before - started + 2 * step_s) * 1e3 >= options.deadline_ms:
                steps_left = 1  # there is no time for a step after this one
            yield from denoiser.step(drafts, steps_left)
            model_s, step = model_s + time.perf_counter() - before, step + 1
            yield _progress(drafts, step, options)
        candidates = self._rank(drafts, options.candidates)
        timings = Timings(
            tokenize_ms=(tokenized - started) * 1e3,
            model_ms=model_s * 1e3,
            total_ms=(time.perf_counter() - started) * 1e3,
        )
        yield InfillResult(candidates, step, policy, timings)

    def _length_policy(self, holes: list[Hole]) -> LengthPolicy:
        if all(hole.length is not None for hole in holes):
            return "fixed"
        return "expand-delete" if self.model.config.finds_length else "grid"

    def _hint_tokens(self, hole: Hole) -> int:
        return len(self.tokenizer.encode((hole.hint or "")[: hole.max_tokens * _HINT_CHARACTERS]))

    def _grid(self, context: list[list[int]], holes: list[Hole], lengths: list[list[int]]) -> list[Draft]:
        """A draft for every length to score; several holes walk their grids together."""
        return [
            self._draft(context, holes, [grid[min(i, len(grid) - 1)] for grid in lengths], True, 0.0, seed=0)
            for i in range(max(map(len, lengths)))
        ]

    def _start(
        self, context: list[list[int]], holes: list[Hole], lengths: list[list[int]], options: InfillOptions, count: int
    ) -> list[Draft]:
        """`count` drafts: the first of each choice of lengths at the wanted temperature, the others warmer."""
        choices = max(len(options_of_hole) for options_of_hole in lengths)
        fixed = not self.model.config.finds_length
        warm = max(options.temperature, _ALTERNATIVE_TEMPERATURE)
        return [
            self._draft(
                context,
                holes,
                [options_of_hole[i % choices % len(options_of_hole)] for options_of_hole in lengths],
                fixed,
                options.temperature if i < choices else warm,
                options.seed + i,
            )
            for i in range(count)
        ]

    def _draft(
        self,
        context: list[list[int]],
        holes: list[Hole],
        lengths: list[int],
        fixed: bool,
        temperature: float,
        seed: int,
    ) -> Draft:
        open_holes = [
            OpenHole(
                slots=[MASK] * length,
                max_tokens=hole.max_tokens,
                fixed=fixed or hole.length is not None,
                single_line=hole.single_line,
                expansions_left=hole.max_tokens,
            )
            for hole, length in zip(holes, lengths, strict=True)
        ]
        device = self.model.model.embed_tokens.weight.device
        return Draft(context, open_holes, temperature, torch.Generator(device).manual_seed(seed))

    def _rank(self, drafts: Sequence[Draft], count: int) -> tuple[Candidate, ...]:
        """Different fills, best first: by mean log-probability, then by the brackets left without a partner."""
        ranked = []
        for order, draft in enumerate(drafts):
            fills = tuple(self.tokenizer.decode(hole.tokens) for hole in draft.holes)
            texts = [self.tokenizer.decode(ids) for ids in draft.texts]
            document = "".join(part for pair in zip(texts, (*fills, ""), strict=True) for part in pair)
            mean = draft.mean_log_probability()
            probabilities = tuple(tuple(math.exp(p) for p in hole.log_probabilities) for hole in draft.holes)
            key = (-round(mean, 6), unbalanced_brackets(document), order)
            ranked.append((key, Candidate(fills, math.exp(mean), probabilities)))
        ranked.sort(key=lambda pair: pair[0])
        different = {candidate.fills: candidate for _, candidate in reversed(ranked)}
        return tuple(candidate for _, candidate in ranked if different[candidate.fills] is candidate)[:count]


def _progress(drafts: Sequence[Draft], step: int, options: InfillOptions) -> Progress:
    masked = max(draft.masked for draft in drafts)
    steps = step + masked if options.steps is None else min(step + masked, max(options.steps, step))
    return Progress(step=step, steps=steps, masked=masked)
