"""`import coda_model` stays light and makes transformers load its checkpoints without remote code."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from coda_model.checkpoint import load_model, save_checkpoint
from coda_model.config import ModelConfig
from coda_model.hub import register_when_imported
from coda_model.transformer import CodaTransformer

from .conftest import random_model

IDS = torch.arange(8, 40)[None]


def python(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["coda_model", "coda_model.request", "coda_model.cli"])
def test_nothing_heavy_is_imported(module: str) -> None:
    code = (
        f"import sys, {module}; print(sorted({{'torch', 'transformers', 'numpy', 'jax', 'pygls'}} & set(sys.modules)))"
    )
    assert python(code) == "[]"


def test_auto_model_knows_the_type_although_transformers_was_imported_first(tiny_checkpoint: Path) -> None:
    code = (
        "import sys; from transformers import AutoConfig; import coda_model; from transformers import AutoModel;"
        "print(type(AutoModel.from_pretrained(sys.argv[1])).__name__)"
    )
    assert python(code, str(tiny_checkpoint)) == "CoDALanguageModel"


def test_registering_again_changes_nothing(tiny_checkpoint: Path) -> None:
    from transformers import AutoModel

    finders = list(sys.meta_path)
    register_when_imported()
    assert sys.meta_path == finders
    assert type(AutoModel.from_pretrained(tiny_checkpoint)).__name__ == "CoDALanguageModel"


@pytest.mark.parametrize("auto_class", ["AutoModel", "AutoModelForCausalLM", "AutoModelForMaskedLM"])
def test_logits_are_the_engine_s(auto_class: str, tiny_checkpoint: Path, tiny_model: CodaTransformer) -> None:
    import transformers

    model = getattr(transformers, auto_class).from_pretrained(tiny_checkpoint)
    padded = torch.nn.functional.pad(IDS, (0, 5))
    mask = (torch.arange(padded.shape[1]) < IDS.shape[1]).long()[None]
    with torch.no_grad():
        torch.testing.assert_close(model(IDS).logits, tiny_model(IDS), atol=1e-6, rtol=0)
        masked = model(padded, attention_mask=mask).logits[:, : IDS.shape[1]]
        torch.testing.assert_close(masked, tiny_model(IDS), atol=1e-5, rtol=0)
        assert model(IDS, return_dict=False)[0].dtype == torch.float32


def test_the_untied_head_of_a_config_that_says_tied_is_kept(tiny_config: ModelConfig, tmp_path: Path) -> None:
    from transformers import AutoModel

    untied = random_model(replace(tiny_config, tie_word_embeddings=False))
    save_checkpoint(untied, tiny_config, None, tmp_path / "released")
    with torch.no_grad():
        logits = AutoModel.from_pretrained(tmp_path / "released")(IDS).logits
    torch.testing.assert_close(logits, untied(IDS), atol=1e-6, rtol=0)


def test_what_transformers_saves_the_engine_reads(
    tiny_checkpoint: Path, tiny_model: CodaTransformer, tmp_path: Path
) -> None:
    from transformers import AutoModel

    AutoModel.from_pretrained(tiny_checkpoint).save_pretrained(tmp_path / "again")
    torch.testing.assert_close(load_model(tmp_path / "again")(IDS), tiny_model(IDS), atol=0, rtol=0)
