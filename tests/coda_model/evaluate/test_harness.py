"""lm-evaluation-harness' own tasks on local rows: references pass, a tiny model is asked and fails."""

import json
import math
from collections.abc import Callable
from pathlib import Path

from lm_eval.api.instance import Instance
from typer.testing import CliRunner

from coda_model import Infiller
from coda_model.cli import app
from coda_model.evaluate.harness import CodaLM, run_harness
from coda_model.evaluate.sandbox.run import Sandbox
from tests.coda_model.evaluate.samples import ROWS


def test_its_task_runs_offline_and_in_the_sandbox(
    write_rows: Callable[..., Path], tiny_checkpoint: Path, sandbox: Sandbox
) -> None:
    class Reference(CodaLM):
        def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
            return [request.doc["canonical_solution"] for request in requests]

    infiller = Infiller.from_pretrained(str(tiny_checkpoint))
    data = write_rows(ROWS["humaneval"])
    perfect = run_harness(Reference(infiller), "humaneval", data, None, sandbox)
    assert perfect["pass@1,create_test"] == 1.0
    model = CodaLM(infiller, steps=2, max_tokens=8)
    asked = Instance("generate_until", {}, ("def f(x):\n", {"until": ["\n"]}), 0)
    (answer,) = model.generate_until([asked])
    assert "\n" not in answer
    ((score, greedy),) = model.loglikelihood([Instance("loglikelihood", {}, ("def f(x):\n", "    return x"), 0)])
    assert -200 < score < 0
    assert not greedy
    turns = model.apply_chat_template([{"role": "user", "content": "hi"}])
    assert turns == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    done = CliRunner().invoke(
        app, ["eval", "harness", "humaneval", "--data", str(data), "-m", str(tiny_checkpoint), "--max-tokens", "4"]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[-1])["pass@1,create_test"] == 0.0
    assert not math.isnan(score)
