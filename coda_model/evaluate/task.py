"""From a command's options to a run: rows are read, the model is loaded, the folder and the sandbox are opened."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, cast

from coda_model.errors import CodaError, InputError
from coda_model.evaluate.benchmarks import BENCHMARKS
from coda_model.evaluate.datafiles import fetch, read_rows
from coda_model.evaluate.problems import Problem
from coda_model.evaluate.prompts import Prompts
from coda_model.evaluate.sandbox.run import Limits, Sandbox
from coda_model.evaluate.settings import PostProcess, Settings, file_digest, text_digest
from coda_model.request import APART, LOOKUPS, STARTS, Algorithm

_LIBRARIES = ("rapidfuzz", "matplotlib", "jinja2")
_PUBLISHED = {"algorithm": "entropy", "temperature": 0.1, "top_p": 0.9, "alg_temp": 0.0}
_PRODUCT = {"algorithm": "entropy_bound", "temperature": 0.0, "top_p": None, "alg_temp": None}


@dataclass(frozen=True)
class Request:
    """What a person asked for. None leaves a setting to the task: the published sampling where a text is generated, the
    engine's own where a hole is filled."""

    task: str
    data: Path | None = None
    model: str = "bundled"
    out: Path | None = None
    limit: int | None = None
    length: str = "product"
    starts: int = STARTS
    lookups: int = LOOKUPS
    apart: int = APART
    steps: int | None = None
    algorithm: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    refresh: int = 0
    context_tokens: int = 512
    max_tokens: int | None = None
    samples: int = 1
    seed: int = 0
    prompt: Literal["base", "chat"] = "base"
    post_process: PostProcess = "ends"
    nll_draws: int = 0
    nll_rows: int = 0
    typist_rows: int = 0
    device: str = "cpu"
    dtype: str = "float32"
    batch: int = 1
    threads: int | None = None
    ray: str | None = None
    workers: int = 2
    time_limit: float | None = None
    unsafe: bool = False

    @property
    def folder(self) -> Path:
        return self.out or Path("eval") / self.task


def evaluate(request: Request, tell: Callable[[int, int], None]) -> dict[str, Any]:
    """Do what is asked, or go on with it, and write the folder. Raises CodaError in one sentence for bad input."""
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        raise CodaError(f"Evaluation needs {', '.join(missing)}: pip install 'coda-lsp[eval]'.")
    problems, digest = _problems(request)
    groups = BENCHMARKS[request.task].groups if request.task in BENCHMARKS else ()

    import torch  # seconds, and bad input should not wait for it

    from coda_model.evaluate.records import RunFolder, read_rows_of
    from coda_model.evaluate.report import write_report
    from coda_model.evaluate.run import Plan, run
    from coda_model.evaluate.spread import fill_here, fill_with_ray
    from coda_model.infill import Infiller
    from coda_model.locate import locate_checkpoint

    if request.threads is not None:
        torch.set_num_threads(request.threads)
    infiller = Infiller.from_pretrained(request.model, request.device, request.dtype)
    weights = file_digest(*sorted(locate_checkpoint(request.model).glob("*.safetensors")))
    settings = _settings(request, weights, digest, infiller.info())
    sandbox = None
    if any(problem.tests is not None for problem in problems):
        sandbox = Sandbox(Limits(time_s=settings.time_limit_s), unsafe=request.unsafe)
    folder = RunFolder(request.folder, settings)

    def fill(batches: Iterable[Sequence[Any]]) -> Iterator[Any]:
        if request.ray is not None:
            return fill_with_ray(settings, batches, request.ray, request.workers)
        return fill_here(settings, infiller, batches)

    plan = Plan(problems, groups, settings)
    judges = max(1, min(4, os.cpu_count() or 1))
    results = run(plan, folder, fill, sandbox, infiller.info(), tell, request.batch, judges)
    write_report(request.folder, results, read_rows_of(request.folder))
    return results


def _problems(request: Request) -> tuple[list[Problem], str]:
    """The problems, and a digest of the data they are from, whatever the limit, the seed and the prompt."""
    return _cut(request) if request.task == "repo" else _read(request)


def _cut(request: Request) -> tuple[list[Problem], str]:
    from coda_model.evaluate.repository import cut_problems, read_sources

    assert request.data is not None, "the command has a path"
    sources = read_sources(request.data)
    problems = cut_problems(sources, request.limit or 300, request.seed)
    if not problems:
        raise CodaError(f"No hole could be cut from the files of {request.data}.")
    return problems, text_digest([text for each in sources for text in (each.path, each.text)])


def _read(request: Request) -> tuple[list[Problem], str]:
    from coda_model.evaluate.run import limited

    benchmark = BENCHMARKS.get(request.task)
    if benchmark is None:
        raise InputError(f"There is no task {request.task!r}: use {', '.join(BENCHMARKS)} or repo.")
    path = request.data or fetch(benchmark.hub, request.task)
    try:
        problems = benchmark.read(read_rows(path, benchmark.columns), Prompts(request.prompt))
    except (KeyError, TypeError, AttributeError, ValueError, SyntaxError) as error:
        fault = f"{type(error).__name__}: {error}"
        raise CodaError(f"{path} holds rows that are not {request.task}'s ({fault}).") from None
    if not problems:
        raise CodaError(f"{path} holds no row of {request.task}'s test split.")
    digest = text_digest([text for each in problems for text in (each.id, each.program(each.reference))])
    return limited(problems, request.limit), digest


def _settings(request: Request, weights: str, digest: str, model: dict[str, Any]) -> Settings:
    generates = request.task in BENCHMARKS and BENCHMARKS[request.task].generates
    sampling: dict[str, Any] = dict(_PUBLISHED if generates else _PRODUCT)
    for name in ("algorithm", "temperature", "top_p"):
        if getattr(request, name) is not None:
            sampling[name] = getattr(request, name)
    limit_s = request.time_limit or (BENCHMARKS[request.task].time_limit_s if request.task in BENCHMARKS else 15.0)
    return Settings(
        task=request.task,
        model=request.model,
        weights=weights,
        data=digest,
        limit=request.limit,
        seed=request.seed,
        samples=request.samples,
        length=request.length,
        starts=request.starts,
        lookups=request.lookups,
        apart=request.apart,
        steps=request.steps,
        algorithm=cast(Algorithm, sampling["algorithm"]),
        temperature=sampling["temperature"],
        top_p=sampling["top_p"],
        alg_temp=sampling["alg_temp"],
        refresh=request.refresh,
        context_tokens=request.context_tokens,
        max_tokens=request.max_tokens,
        prompt=request.prompt,
        post_process=request.post_process,
        device=model["device"],
        dtype=model["dtype"],
        nll_draws=request.nll_draws,
        nll_rows=request.nll_rows,
        typist_rows=request.typist_rows,
        time_limit_s=limit_s,
        isolated=not request.unsafe,
    )
