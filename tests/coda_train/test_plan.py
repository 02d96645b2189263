"""Operations and collectives counted in programs, and a true compilation where the TPU compiler is installed."""

import json

import jax
import jax.numpy as jnp
import pytest
from typer.testing import CliRunner

from coda_train.cli import app
from coda_train.config import load_preset
from coda_train.flops import chip_of, mfu, step_flops
from coda_train.hlo import Collective, collectives, program_flops
from coda_train.optimizer import make_optimizer
from coda_train.sharding import make_layout
from coda_train.step import make_steps, param_shapes, state_shapes

TINY = ["model.head_dim=128", "model.num_heads=2", "model.num_kv_heads=1", "stage.length=128", "stage.batch_size=16"]


def test_products_in_loops_count_as_often_as_they_run():
    def program(x, n):
        x = jax.lax.scan(lambda x, _: (x @ x, None), x, None, length=5)[0]
        x = jax.lax.fori_loop(0, n, lambda _, x: x @ x, x)
        _ = x @ x  # not used
        return jax.lax.cond(n > 3, lambda x: x @ x, lambda x: x, x)

    jaxpr = jax.make_jaxpr(program)(jnp.ones((8, 8)), 7).jaxpr
    assert program_flops(jaxpr, 3) == (5 + 3 + 1) * 2 * 8**3


@pytest.mark.parametrize("remat", ["none", "full"])
def test_the_formula_counts_what_the_program_computes(remat):
    """With all tokens as targets, in one chunk; recomputing the layers costs their forward pass once more."""
    config = load_preset("nano", "pretrain", [f"model.remat={remat}", "stage.loss_chunk=512", "model.attention=cpu"])
    layout = make_layout(config.mesh, jax.devices()[:1])
    optimizer = make_optimizer(config.optimizer, param_shapes(config))
    train_step, _ = make_steps(config, optimizer, layout)
    rows = jax.ShapeDtypeStruct((8, 64), jnp.int32)
    batch = dict.fromkeys(("inputs", "targets", "segment_ids"), rows)
    batch["weights"] = jax.ShapeDtypeStruct((8, 64), jnp.float32)
    rate = jax.ShapeDtypeStruct((), jnp.float32)
    traced = train_step.trace(state_shapes(config, optimizer, layout), batch, rate)
    counted = program_flops(traced.jaxpr.jaxpr, 1)
    tokens = 8 * 64
    useful = step_flops(config.model, tokens, 64, tokens)
    layers = step_flops(config.model, tokens, 64, 0) / 3
    assert counted == pytest.approx(useful if remat == "none" else useful + layers, rel=0.06)


HLO = """HloModule step

%all-reduce-scatter.1 (input: f32[1024]) -> f32[256] {
  ROOT %sum = f32[1024]{0:T(1024)} all-reduce(%input), replica_groups=[2,4]<=[8], to_apply=%add
}

%body (p: (s32[], bf16[8,128])) -> (s32[], bf16[8,128]) {
  %gathered = bf16[32,128]{1,0:T(8,128)(2,1)} all-gather(%p), replica_groups={{0,1,2,3},{4,5,6,7}}, dimensions={0}
  %scattered = f32[256]{0:T(256)} fusion(%p), kind=kCustom, calls=%all-reduce-scatter.1
}

%condition (p: (s32[], bf16[8,128])) -> pred[] {
  %limit = s32[]{:T(128)} constant(28)
  ROOT %less = pred[]{:T(512)} compare(%counter, %limit), direction=LT
}

%until (p: (s32[])) -> pred[] {
  ROOT %less = pred[]{:T(512)} compare(%a, %b), direction=LT
}

%turning (p: (s32[])) -> (s32[]) {
  %moved = (f32[64]{0}, f32[64]{0}, u32[]) collective-permute-start(%x), source_target_pairs={{0,1},{1,0}}
}

ENTRY %main (x: bf16[8,128]) -> f32[] {
  %loop = (s32[], bf16[8,128]{1,0}) while(%init), condition=%condition, body=%body
  %other = (s32[]) while(%init), condition=%until, body=%turning
  %both = (f32[10]{0}, /*index=1*/f32[]) all-reduce(%a, %b), replica_groups=mesh['x'=2,'y'=4] {'x','y'}, to_apply=%add
  %some = f32[8]{0} all-reduce(%a), replica_groups=mesh['x'=2,'y'=4], device_ids=([4,2]T(1,0)) {'y'}, to_apply=%add
}
"""


def test_collectives_by_kind_and_bytes():
    assert collectives(HLO, loop_trips=3) == {
        "all-gather": Collective(28, 28 * 8192, 28 * 8192 * 3 // 4),
        "all-reduce": Collective(2, 44 + 32, 44 * 7 // 8 * 2 + 32 * 3 // 4 * 2),
        "collective-permute": Collective(3, 3 * 256, 3 * 256),
        "reduce-scatter": Collective(28, 28 * 4096, 28 * 4096 * 3 // 4),
    }


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("TPU v4", "TPU v4"),
        ("TPU v5 lite", "TPU v5e"),
        ("TPU v5", "TPU v5p"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA H100 80GB HBM3", "H100"),
    ],
)
def test_data_sheets(kind, name):
    chip = chip_of(kind)
    assert chip is not None
    assert chip.name == name
    assert mfu(chip.flops, kind, 2) == 0.5


def test_no_peak_no_mfu():
    assert mfu(1.0, "cpu", 1) is None


def test_flops_of_the_published_model():
    """6 operations a parameter and token, and 12 * layers * length * hidden for attention (arXiv 2204.02311)."""
    config = load_preset("1.7b", "pretrain").model
    layers = 28 * (2048 * 2048 * 2 + 2048 * 1024 * 2 + 3 * 2048 * 6144)
    expected = 6 * (layers + 2048 * 151936) + 12 * 28 * 8192 * 2048
    assert step_flops(config, 1, 8192, 1) == pytest.approx(expected)


def call(*arguments, code=0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "1.7b", "--topology", "v4:8x8x8"], "must be a stage and a preset, such as pretrain-1.7b"),
        (["--preset", "pretrain-1.8b", "--topology", "v4:8x8x8"], "did you mean 1.7b?"),
        (["--preset", "pretrain-nano", "--topology", "v4:8x8x8", "stage.step=3"], "did you mean steps?"),
    ],
)
def test_errors_are_one_sentence(arguments, message):
    output = call("plan", *arguments, code=1)
    assert message in output
    assert len(output.strip().splitlines()) == 1


def test_without_the_compiler_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("jax._src.xla_bridge.get_tpu_library_path", lambda: None)
    monkeypatch.setattr("jax._src.xla_bridge.xla_client.pjrt_plugin_loaded", lambda name: False)
    output = call("plan", "--preset", "pretrain-nano", "--topology", "v5e:4x4", code=1)
    assert output == "coda-train: the TPU's compiler is not installed: pip install 'coda-lsp[tpu]'\n"


@pytest.fixture(scope="module")
def compiler():
    pytest.importorskip("libtpu", reason="needs the TPU compiler: pip install 'coda-lsp[tpu]'")


def test_a_step_compiles_for_a_slice(compiler):
    arguments = ["--preset", "pretrain-nano", "--topology", "v5e:4x4", *TINY]
    result = json.loads(call("plan", *arguments, "mesh.tensor=1", "--json"))
    assert (result["chips"], result["mesh"]) == (16, {"data": 1, "fsdp": 16, "tensor": 1})
    assert result["fits"]
    assert 0 < result["argument_bytes"] < result["total_bytes"] < result["available_bytes"] == 16 * 2**30
    assert result["program_flops"] > result["model_flops"] > 0
    assert result["collectives"]["all-reduce"]["payload_bytes"] > 0
    assert result["step_s"] == max(result["roofline"].values())


def test_what_a_slice_refuses(compiler):
    for topology, overrides, message in [
        ("v9:4x4", [], "no topology 'v9:4x4': such as v4:8x8x8"),
        ("v5e:4x4", ["stage.batch_size=8"], "stage.batch_size (8) is no multiple"),
        ("v5e:4x4", ["mesh.fsdp=5"], "5 devices, but there are 16"),
    ]:
        output = call("plan", "--preset", "pretrain-nano", "--topology", topology, *TINY, *overrides, code=1)
        assert message in output
        assert len(output.strip().splitlines()) == 1
