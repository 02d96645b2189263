"""A run of a task: problems are filled, judged and written row by row, then summed up."""

import platform
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from coda_model.evaluate.figures import summarise
from coda_model.evaluate.filling import Job
from coda_model.evaluate.problems import Problem
from coda_model.evaluate.records import RunFolder
from coda_model.evaluate.sandbox.run import Sandbox
from coda_model.evaluate.scoring import score
from coda_model.evaluate.settings import Settings
from coda_model.evaluate.spread import Filled

WALK_CHARACTERS = 100
"""The longest reference that the typist walks: every character costs a fill."""

Tell = Callable[[int, int], None]
"""Called with the rows done and their total."""
Fill = Callable[[Iterable[Sequence[Job]]], Iterator[Filled]]


@dataclass(frozen=True)
class Plan:
    """What to run: the problems of a task, the names of its groups of tests, and how the run is set."""

    problems: list[Problem]
    groups: tuple[str, ...]
    settings: Settings

    def jobs(self) -> list[Job]:
        """A sample of every problem first, then the next one."""
        settings = self.settings
        bounds = set(_spread(len(self.problems), settings.nll_rows if settings.nll_draws else 0))
        walkable = [n for n, problem in enumerate(self.problems) if len(problem.reference) <= WALK_CHARACTERS]
        walks = {walkable[index] for index in _spread(len(walkable), settings.typist_rows)}
        return [
            Job(problem, sample, bound=not sample and number in bounds, typist=not sample and number in walks)
            for sample in range(settings.samples)
            for number, problem in enumerate(self.problems)
        ]


def limited(problems: list[Problem], limit: int | None) -> list[Problem]:
    """At most `limit` of them, evenly spread, so that few rows still come from many problems."""
    return problems if limit is None else [problems[index] for index in _spread(len(problems), limit)]


def _spread(total: int, count: int) -> list[int]:
    count = min(count, total)
    return [index * total // count for index in range(count)]


def run(
    plan: Plan,
    folder: RunFolder,
    fill: Fill,
    sandbox: Sandbox | None,
    model: dict[str, Any],
    tell: Tell,
    batch: int = 1,
    judges: int = 2,
) -> dict[str, Any]:
    """Do what is left of a plan and return the results; they and the rows lie in the folder then.

    While the model fills, `judges` threads wait for sandboxes. A row is written when its verdict is there.
    """
    jobs = plan.jobs()
    keys = [(job.problem.id, job.sample) for job in jobs]
    left = [job for job, key in zip(jobs, keys, strict=True) if key not in folder.rows]
    done = len(jobs) - len(left)
    tell(done, len(jobs))
    try:
        with ThreadPoolExecutor(judges) as pool:
            waiting: deque[tuple[Job, dict[str, Any], Future[dict[str, Any]]]] = deque()

            def write_next() -> None:
                job, row, verdict = waiting.popleft()
                folder.add(_row(job, row, verdict.result()))

            for batch_jobs, rows in fill(_batches(left, batch)):
                for job, row in zip(batch_jobs, rows, strict=True):
                    waiting.append((job, row, pool.submit(score, job.problem, row["fill"], sandbox)))
                while waiting and (len(waiting) > 4 * judges or waiting[0][2].done()):
                    write_next()
                    done += 1
                    tell(done, len(jobs))
            while waiting:
                write_next()
                done += 1
                tell(done, len(jobs))
        ordered = [folder.rows[key] for key in keys]
        results = {
            "settings": vars(plan.settings),
            "model": model,
            "versions": _versions(),
            "problems": len(plan.problems),
            "batch": batch,
        } | summarise(ordered, plan.groups, plan.settings)
        folder.finish(keys, results)
    finally:
        folder.close()
    return results


def _batches(jobs: Sequence[Job], size: int) -> Iterator[Sequence[Job]]:
    for start in range(0, len(jobs), size):
        yield jobs[start : start + size]


def _row(job: Job, filled: dict[str, Any], verdict: dict[str, Any]) -> dict[str, Any]:
    problem = job.problem
    about = {
        "id": problem.id,
        "sample": job.sample,
        "cluster": problem.cluster,
        "kind": problem.kind,
        "language": problem.language,
        "prefix": problem.prefix,
        "suffix": problem.suffix,
        "reference": problem.reference,
    }
    if problem.prompting == "generate":
        about["program"] = problem.program(filled["fill"])
    return about | filled | verdict


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0], "platform": platform.platform()}
    for name in ("coda-lsp", "torch", "rapidfuzz", "tokenizers", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
