"""A checkpoint as a model of lm-evaluation-harness, whose own tasks, prompts and filters then run on it.

Its code tasks execute what a model wrote in the process that judges it; here that happens in the sandbox.
"""

import ast
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import log
from pathlib import Path
from typing import Any
from unittest import mock

import lm_eval.tasks
import torch
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from coda_model.errors import CodaError
from coda_model.evaluate.bound import likelihood_bound
from coda_model.evaluate.datafiles import read_rows
from coda_model.evaluate.filling import cut_at
from coda_model.evaluate.sandbox.run import Sandbox
from coda_model.evaluate.statistics import pass_at_k
from coda_model.generate import generate
from coda_model.infill import Infiller

_DRAWS = 64


class CodaLM(LM):
    """Answers lm-evaluation-harness: `generate_until` by the published sampling, likelihoods by their bound.

    A diffusion model has no exact likelihood; the bound is one from below, by 64 seeded draws, and no answer is greedy.
    """

    def __init__(self, infiller: Infiller, steps: int | None = None, max_tokens: int = 768, seed: int = 0) -> None:
        super().__init__()
        self.infiller, self.steps, self.max_tokens, self.seed = infiller, steps, max_tokens, seed

    @property
    def tokenizer_name(self) -> str:
        return self.infiller.name

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Qwen's template; without a prompt for generation the last turn stays open."""
        turns = [f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in chat_history]
        text = "".join(turns)
        return f"{text}<|im_start|>assistant\n" if add_generation_prompt else text.removesuffix("<|im_end|>\n")

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        return [self._generate(*request.args) for request in requests]

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        return [(self._log_likelihood(*request.args), False) for request in requests]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        return [self._log_likelihood("", *request.args) for request in requests]

    def _generate(self, context: str, settings: dict[str, Any]) -> str:
        infiller = self.infiller
        positions = infiller.model.config.max_position_embeddings
        wanted = min(settings.get("max_gen_toks") or self.max_tokens, self.max_tokens, positions // 2)
        prompt = infiller.tokenizer.encode_turns(context)[-(positions - wanted) :]
        device = infiller.model.model.embed_tokens.weight.device
        ids_1xL = generate(
            infiller.model,
            torch.tensor([prompt], dtype=torch.int64, device=device),
            max_new_tokens=wanted,
            steps=min(self.steps or wanted, wanted),
            generator=torch.Generator(device).manual_seed(self.seed),
        )
        answer = ids_1xL[0, len(prompt) :].tolist()
        end = next((place for place, token in enumerate(answer) if infiller.tokenizer.is_special[token]), len(answer))
        until = settings.get("until") or []
        return cut_at(infiller.tokenizer.decode(answer[:end]), [until] if isinstance(until, str) else until)

    def _log_likelihood(self, context: str, continuation: str) -> float:
        """In nats."""
        room = self.infiller.model.config.max_position_embeddings
        bound = likelihood_bound(self.infiller, context, continuation, "", room, _DRAWS, self.seed)
        if bound is None:
            raise CodaError("A text to score is empty, or longer than what the model has room for.")
        return -bound.bits * log(2)


class _CodeEval:
    """What lm-evaluation-harness asks of `code_eval`: references are tests, predictions are programs."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def compute(
        self, references: Sequence[str], predictions: Sequence[Sequence[str]], k: Sequence[int] = (1,)
    ) -> tuple[dict[str, float], None]:
        shares: dict[int, list[float]] = {each: [] for each in k}
        for tests, programs in zip(references, predictions, strict=True):
            passed = sum(self._passes(program, tests) for program in programs)
            for each, values in shares.items():
                values.append(pass_at_k(len(programs), passed, each))
        return {f"pass@{each}": sum(values) / len(values) for each, values in shares.items()}, None

    def _passes(self, program: str, tests: str) -> bool:
        try:
            body = ast.parse(program).body
        except (SyntaxError, ValueError, RecursionError):
            return False
        names = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        verdicts = self._sandbox.run_tests(program, names, "", {"tests": {"code": tests}})
        return verdicts["tests"] == "pass"


@contextmanager
def _code_eval_in(sandbox: Sandbox) -> Iterator[None]:
    """`evaluate.load("code_eval")`, which the tasks call, would fetch a program from the Hub and run it here."""
    with mock.patch("evaluate.load", lambda name, *rest, **options: _CodeEval(sandbox)):
        yield


def run_harness(model: CodaLM, task: str, data: Path, limit: int | None, sandbox: Sandbox) -> dict[str, Any]:
    """The harness' own task on local rows: its figures by name. Raises CodaError where it has no such task."""
    # Reading the harness' thousands of tasks takes longer than most runs.
    own = next(Path(str(lm_eval.tasks.__file__)).parent.rglob(f"{task}.yaml"), None)
    if own is None:
        raise CodaError(f"lm-evaluation-harness has no task {task!r}.")
    rows = [row for row in read_rows(data, ("task_id",)) if not task.startswith("mbpp") or 11 <= row["task_id"] <= 510]
    with tempfile.TemporaryDirectory() as folder:
        copy, config = Path(folder) / "rows.jsonl", Path(folder) / "local.yaml"
        copy.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        settings = {
            "include": str(own),
            "task": f"local_{task}",
            "dataset_path": "json",
            "dataset_name": None,
            "dataset_kwargs": {"data_files": {"test": str(copy)}, "cache_dir": folder},
        }
        config.write_text(json.dumps(settings), "utf-8")  # JSON is YAML
        with _code_eval_in(sandbox):
            found = simple_evaluate(
                model,
                tasks=[str(config)],
                task_manager=TaskManager(include_defaults=False),
                limit=limit,
                bootstrap_iters=0,
                confirm_run_unsafe_code=True,
            )
    assert found is not None, "only other ranks than the first get nothing"
    return dict(found["results"][f"local_{task}"])
