"""Filling problems with the engine, as users run it: a hole of unknown length, or a text to go on from."""

import ast
import hashlib
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from coda_model.evaluate.bound import likelihood_bound
from coda_model.evaluate.problems import Problem
from coda_model.evaluate.settings import (
    BLOCK_TOKENS,
    PUBLISHED_STEPS,
    PUBLISHED_TOKENS,
    SINGLE_LINE_TOKENS,
    Settings,
)
from coda_model.evaluate.typist import requests
from coda_model.forward import Work
from coda_model.generate import generate
from coda_model.infill import Infiller, Plan
from coda_model.request import MAX_HOLE_TOKENS, Hole, InfillResult, Progress

_RELEASED_LINES = 100


@dataclass(frozen=True)
class Job:
    """One sample of one problem, and what is to be measured beside the fill."""

    problem: Problem
    sample: int
    bound: bool = False
    typist: bool = False


class Filler:
    """A model with the settings of a run. What it answers to a job depends on nothing but the job."""

    def __init__(self, settings: Settings, infiller: Infiller | None = None) -> None:
        self.settings = settings
        self.infiller = infiller or Infiller.from_pretrained(settings.model, settings.device, settings.dtype)

    def __call__(self, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """For each job its `fill`, `confidence`, `steps` and `latency_ms`, with `bound` and `keystrokes` if asked."""
        holes = [job for job in jobs if job.problem.prompting == "infill"]
        filled = iter(self._infill(holes))
        rows = []
        for job in jobs:
            row = next(filled) if job.problem.prompting == "infill" else self._generate(job)
            if job.bound:
                row["bound"] = self._bound(job)
            if job.typist:
                row["keystrokes"] = self._keystrokes(job)
            rows.append(row)
        return rows

    def hole(self, problem: Problem) -> Hole:
        """By the length policy. The reference's length is looked at under `oracle` alone."""
        settings = self.settings
        if settings.length == "product":
            most = settings.max_tokens or (SINGLE_LINE_TOKENS if problem.single_line else BLOCK_TOKENS)
            return Hole(single_line=problem.single_line, max_tokens=most)
        if settings.length == "oracle":
            length = min(max(len(self.infiller.tokenizer.encode(problem.reference)), 1), MAX_HOLE_TOKENS)
        else:
            length = int(settings.length)
        return Hole(single_line=problem.single_line, length=length)

    def _infill(self, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """Requests that share forwards of the model, each answered as it would be alone (`refresh` 1: exactly so)."""
        started = time.perf_counter()
        rows: list[dict[str, Any]] = [{} for _ in jobs]
        waiting: dict[int, tuple[Plan, Work]] = {}

        def go_on(number: int, plan: Plan, item: Work | Progress | InfillResult) -> None:
            """Take what a request says until it waits for a forward or has ended."""
            while isinstance(item, Progress):
                item = next(plan)
            if isinstance(item, Work):
                waiting[number] = plan, item
                return
            best = item.candidates[0]
            latency_ms = (time.perf_counter() - started) * 1e3
            rows[number] = {
                "fill": best.fills[0], "confidence": best.confidence, "evidence": asdict(best.evidence),
                "steps": item.steps, "latency_ms": latency_ms
            }  # fmt: skip

        for number, job in enumerate(jobs):
            problem = job.problem
            segments = [problem.prefix, self.hole(problem), problem.suffix]
            plan = self.infiller.plan(segments, self.settings.options(_seed(self.settings, job), problem.language))
            go_on(number, plan, next(plan))
        while waiting:
            turn, waiting = waiting, {}
            answers = self.infiller.compute([work for _, work in turn.values()])
            for (number, (plan, _)), answer in zip(turn.items(), answers, strict=True):
                go_on(number, plan, plan.send(answer))
        return rows

    def _generate(self, job: Job) -> dict[str, Any]:
        settings, infiller = self.settings, self.infiller
        positions = infiller.model.config.max_position_embeddings
        wanted = min(settings.max_tokens or PUBLISHED_TOKENS, positions // 2)
        encode = infiller.tokenizer.encode_turns if settings.prompt == "chat" else infiller.tokenizer.encode
        prompt = encode(job.problem.prefix)[-(positions - wanted) :]
        device = infiller.model.model.embed_tokens.weight.device
        started = time.perf_counter()
        steps = min(settings.steps or PUBLISHED_STEPS, wanted)
        ids_1xL = generate(
            infiller.model,
            torch.tensor([prompt], dtype=torch.int64, device=device),
            max_new_tokens=wanted,
            steps=steps,
            alg=settings.algorithm,
            temperature=settings.temperature,
            top_p=settings.top_p,
            alg_temp=settings.alg_temp,
            generator=torch.Generator(device).manual_seed(_seed(settings, job)),
        )
        latency_ms = (time.perf_counter() - started) * 1e3
        answer = ids_1xL[0, len(prompt) :].tolist()
        special_V = infiller.tokenizer.is_special
        end = next((place for place, token in enumerate(answer) if special_V[token]), len(answer))
        text = cut_at(infiller.tokenizer.decode(answer[:end]), job.problem.ends)
        if settings.post_process == "released":
            head = job.problem.head
            text = longest_snippet(head + text).removeprefix(head)
        return {"fill": text, "confidence": None, "steps": steps, "latency_ms": latency_ms}

    def _bound(self, job: Job) -> dict[str, Any] | None:
        problem, settings = job.problem, self.settings
        bound = likelihood_bound(
            self.infiller,
            problem.prefix,
            problem.reference,
            problem.suffix,
            settings.context_tokens,
            settings.nll_draws,
            _seed(settings, job),
        )
        return None if bound is None else asdict(bound)

    def _keystrokes(self, job: Job) -> list[list[Any]]:
        """The typist's requests as [suggestion, confidence]; contexts are kept between them, as served."""
        problem = job.problem
        whole = self.infiller
        infiller = Infiller(whole.model, whole.tokenizer, whole.name, "", 1, calibration=whole.calibration)

        def ask(typed: str) -> tuple[str, float]:
            hole = Hole(single_line=True, max_tokens=SINGLE_LINE_TOKENS)
            segments = [problem.prefix + typed, hole, problem.suffix]
            *_, result = infiller.run(segments, self.settings.options(self.settings.seed, problem.language))
            assert isinstance(result, InfillResult), "the last item of a run is its result"
            return result.candidates[0].fills[0], result.candidates[0].confidence

        return [[each.suggestion, each.confidence] for each in requests(problem.reference, ask)]


def _seed(settings: Settings, job: Job) -> int:
    """One a row and sample, whatever the order and the batch."""
    text = f"{settings.seed}:{job.sample}:{job.problem.id}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])


def cut_at(text: str, ends: Sequence[str]) -> str:
    """The text up to the first of some ends."""
    return text[: min((place for end in ends if (place := text.find(end)) >= 0), default=len(text))]


def longest_snippet(text: str) -> str:
    """As the released evaluation does: the longest run of lines that parses, among the first 100, printed anew.

    Nothing where no line parses. It can move a score by 15 points, so it is an option and stands in the result.
    """
    lines = text.split("\n")[:_RELEASED_LINES]
    for length in range(len(lines), 0, -1):
        for start in range(len(lines) - length + 1):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", SyntaxWarning)
                    tree = ast.parse("\n".join(lines[start : start + length]))
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            if tree.body:
                return ast.unparse(tree)
    return ""
