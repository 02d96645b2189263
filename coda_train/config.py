"""Configuration: frozen dataclasses, presets as TOML files, and `key=value` overrides."""

import tomllib
import typing
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from coda_train.data.infilling import InfillConfig
from coda_train.errors import ConfigError
from coda_train.settings import apply_override, build, nearest, one_of

STAGES = ("base", "pretrain", "midtrain", "sft")
"""`base` makes the causal model that the three stages of the paper adapt."""


@dataclass(frozen=True)
class ModelConfig:
    """Shape of the Qwen3 backbone (arXiv 2510.03270, section 2)."""

    vocab_size: int = 8192
    hidden_size: int = 256
    num_layers: int = 6
    num_heads: int = 4
    num_kv_heads: int = 2
    head_dim: int = 64
    intermediate_size: int = 768
    rope_theta: float = 1e4
    rms_norm_eps: float = 1e-6
    tie_word_embeddings: bool = True
    max_positions: int = 2048
    compute_dtype: str = "auto"
    """float32, bfloat16, or auto: float32 on a CPU, bfloat16 elsewhere. Parameters are always float32."""
    matmul_dtype: str = "auto"
    """Operands of products with weights: float32, bfloat16 (on CPUs with AMX several times faster; sums stay float32),
    or auto: the compute type."""
    attention: str = "auto"
    """The kernel (see attention.py): cpu, cudnn, splash, reference, or auto: cpu on a CPU, cudnn on a GPU, splash on a
    TPU."""
    remat: str = "none"
    """What the backward pass recomputes: none, dots (all but matrix products and attention) or full (every layer)."""
    unroll_layers: bool = False
    """Unroll the scan over layers: faster steps, slower compilation."""

    def __post_init__(self) -> None:
        one_of("model.compute_dtype", self.compute_dtype, ("auto", "float32", "bfloat16"))
        one_of("model.matmul_dtype", self.matmul_dtype, ("auto", "float32", "bfloat16"))
        one_of("model.attention", self.attention, ("auto", "cpu", "cudnn", "splash", "reference"))
        one_of("model.remat", self.remat, ("none", "dots", "full"))
        if self.num_heads % self.num_kv_heads:
            raise ConfigError(
                f"model.num_heads ({self.num_heads}) must be a multiple of model.num_kv_heads ({self.num_kv_heads})"
            )
        if self.head_dim % 2:
            raise ConfigError(f"model.head_dim must be even for rotary positions, not {self.head_dim}")


@dataclass(frozen=True)
class MeshConfig:
    """How devices share the work (see sharding.py). One of the three may be 0: as many as the others leave."""

    data: int = 1
    """Copies of the parameters, each with its part of the batch."""
    fsdp: int = 0
    """Devices that share one copy of the parameters, and split its part of the batch."""
    tensor: int = 1
    """Devices that split heads, the inner width and the vocabulary of one part of the batch."""

    def __post_init__(self) -> None:
        sizes = (self.data, self.fsdp, self.tensor)
        if min(sizes) < 0 or sizes.count(0) > 1:
            raise ConfigError(f"mesh holds numbers of devices, of which one may be 0 (the rest), not {sizes}")


@dataclass(frozen=True)
class NoiseConfig:
    """Noise of packed batches: how many tokens become masks, and where (arXiv 2510.03270, section 3).

    `prefix` (S1), `suffix` (S2) and `block` (S3) are probabilities over the run, read by `schedule`:
    constant takes the one value; linear goes from the first value to the second; table splits the run into as many
    equal parts as there are values.
    """

    eps: float = 1e-3
    max_sigma: float = 1.0
    """Noise levels are uniform between eps and this. Below 1 a small model spends nothing on nearly empty rows."""
    antithetic: bool = True
    schedule: str = "constant"
    per: str = "sequence"
    """What one draw of S1, S2, S3 decides: a sequence or the whole batch."""
    prefix: tuple[float, ...] = (0.01,)
    suffix: tuple[float, ...] = (0.01,)
    block: tuple[float, ...] = (0.01,)
    block_rows: str = "chosen"
    """Rows that S3 masks in blocks: those chosen, or all of them once its probability is above 0, as released."""
    block_sizes: tuple[int, ...] = (2, 4, 8)
    edges: str = "clip"
    """Block windows at the ends of a row: clip keeps the rate sigma everywhere, window drops those that stick out."""
    prompt_ramp: float = 0.0
    """Chat rows: share of the run over which the part of each prompt that can't be masked grows from nothing to all of
    it (arXiv 2510.03270: the first epoch)."""

    def __post_init__(self) -> None:
        one_of("noise.schedule", self.schedule, ("constant", "linear", "table"))
        one_of("noise.per", self.per, ("sequence", "batch"))
        one_of("noise.edges", self.edges, ("clip", "window"))
        one_of("noise.block_rows", self.block_rows, ("chosen", "all"))
        if not 0 <= self.prompt_ramp <= 1:
            raise ConfigError(f"noise.prompt_ramp must lie in [0, 1], not {self.prompt_ramp}")
        if not 0 < self.eps < self.max_sigma <= 1:
            raise ConfigError(f"noise needs 0 < eps < max_sigma <= 1, not {self.eps} and {self.max_sigma}")
        if not self.block_sizes or min(self.block_sizes) < 1:
            raise ConfigError("noise.block_sizes needs at least one size, each 1 or more")
        for name in ("prefix", "suffix", "block"):
            values = getattr(self, name)
            wanted = {"constant": 1, "linear": 2}.get(self.schedule)
            if not values or (wanted and len(values) != wanted):
                raise ConfigError(f"noise.{name} needs {wanted or 'at least 1'} value(s) for schedule {self.schedule}")
            if not all(0 <= value <= 1 for value in values):
                raise ConfigError(f"noise.{name} holds probabilities between 0 and 1, not {values}")

    def probabilities(self, progress: float) -> tuple[float, float, float, float]:
        """Of S1, S2 and S3 at `progress` through the run, 0 to 1, and the share of a prompt that stays unmasked."""
        prefix, suffix, block = (self._at(values, progress) for values in (self.prefix, self.suffix, self.block))
        return prefix, suffix, block, min(progress / self.prompt_ramp, 1.0) if self.prompt_ramp else 1.0

    def _at(self, values: tuple[float, ...], progress: float) -> float:
        if self.schedule == "linear":
            return values[0] + (values[1] - values[0]) * min(progress, 1.0)
        return values[min(int(progress * len(values)), len(values) - 1)]


@dataclass(frozen=True)
class OptimizerConfig:
    """Optimizer and its learning-rate schedule."""

    name: str = "adamw"
    """adamw, adafactor (no relative step, no parameter scaling), or muon (matrices; the rest by AdamW)."""
    peak: float = 1e-3
    schedule: str = "cosine"
    """After the warm-up: cosine, linear, wsd (constant, then linear over the last fifth) or constant."""
    schedule_by: str = "steps"
    """What the schedule follows: steps, or time (stage.minutes, added up over resumes)."""
    warmup: float = 0.02
    """Share of the run."""
    final: float = 0.0
    """Learning rate at the end, as a share of the peak."""
    b1: float = 0.9
    b2: float = 0.98
    eps: float = 1e-8
    weight_decay: float = 0.1
    """Applied to matrices, not to norms."""
    clip: float = 1.0
    """Global norm of the gradient; 0 is off."""

    def __post_init__(self) -> None:
        one_of("optimizer.name", self.name, ("adamw", "adafactor", "muon"))
        one_of("optimizer.schedule", self.schedule, ("cosine", "linear", "wsd", "constant"))
        one_of("optimizer.schedule_by", self.schedule_by, ("steps", "time"))


@dataclass(frozen=True)
class StageConfig:
    """One run of the loop."""

    batches: str = "packed"
    """packed: whole documents, noised here; infill: rows with holes, expand and delete targets; causal: whole documents
    without noise, each token predicted from those before it; chat: prompts and answers, the answers noised."""
    segments: bool = True
    """Documents packed into one row do not see each other; the paper's mid-training lets them."""
    steps: int = 1000
    minutes: float = 0.0
    """Budget of wall-clock time; 0 is none. With optimizer.schedule_by=time it sets the schedule too."""
    batch_size: int = 32
    length: int = 256
    accumulate: int = 1
    """Parts that a batch is computed in, one after the other: less memory, the same step."""
    loss_chunk: int = 1024
    """Rows of logits that a device holds at a time."""
    seed: int = 0
    ema: float = 0.0
    """Decay of the averaged weights that are exported; 0 is off."""
    log_every: int = 10
    eval_every: int = 500
    eval_batches: int = 8
    patience: int = 0
    """Evaluations in a row without a lower loss that end the run; 0 is off."""
    checkpoint_every: int = 500
    checkpoints_kept: int = 2

    def __post_init__(self) -> None:
        one_of("stage.batches", self.batches, ("packed", "infill", "causal", "chat"))
        for name in ("steps", "batch_size", "accumulate", "loss_chunk", "log_every", "eval_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"stage.{name} must be 1 or more, not {getattr(self, name)}")
        if self.length < 2:
            raise ConfigError(f"stage.length must be 2 or more, not {self.length}")
        if self.patience < 0:
            raise ConfigError(f"stage.patience must be 0 or more, not {self.patience}")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"stage.ema must lie in [0, 1), not {self.ema}")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a run; saved beside every checkpoint."""

    name: str = "pretrain"
    model: ModelConfig = field(default_factory=ModelConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    stage: StageConfig = field(default_factory=StageConfig)
    infill: InfillConfig = field(default_factory=InfillConfig)

    def __post_init__(self) -> None:
        if self.optimizer.schedule_by == "time" and self.stage.minutes <= 0:
            raise ConfigError("optimizer.schedule_by=time needs stage.minutes")
        if self.stage.length > self.model.max_positions:
            raise ConfigError(
                f"stage.length ({self.stage.length}) is over model.max_positions ({self.model.max_positions})"
            )


def split_preset(name: str) -> tuple[str, str]:
    """(stage, preset) of a name such as `pretrain-1.7b`. Raises ConfigError if it does not begin with a stage."""
    stage, _, preset = name.partition("-")
    if stage not in STAGES or not preset:
        raise ConfigError(
            f"{name!r} must be a stage and a preset, such as pretrain-1.7b: stages are {', '.join(STAGES)}"
        )
    return stage, preset


def preset_names() -> list[str]:
    """Names of the presets that ship with the package."""
    folder = resources.files("coda_train") / "presets"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_preset(name: str, stage: str, overrides: typing.Sequence[str] = ()) -> TrainConfig:
    """The configuration of one stage of a preset (a shipped name or a path to a TOML file), with overrides applied.

    Raises ConfigError for an unknown preset, stage or key, or a value of the wrong kind.
    """
    if stage not in STAGES:
        raise ConfigError(f"unknown stage {stage}: it is one of {', '.join(STAGES)}")
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"there is no preset file {name}")
        text = path.read_text(encoding="utf-8")
    else:
        names = preset_names()
        if name not in names:
            raise ConfigError(f"unknown preset {name}{nearest(name, names)}: the presets are {', '.join(names)}")
        text = (resources.files("coda_train") / "presets" / f"{name}.toml").read_text(encoding="utf-8")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"preset {name} is not valid TOML: {error}") from None
    if stage not in data:
        there = ", ".join(name for name in STAGES if name in data) or "none"
        raise ConfigError(f"preset {name} does not describe the stage {stage}: it has {there}")
    tree = {"name": stage, "model": data.get("model", {}), **data[stage]}
    for override in overrides:
        apply_override(tree, override)
    return from_dict(tree)


def from_dict(tree: dict[str, Any]) -> TrainConfig:
    """Rebuild a configuration from `dataclasses.asdict` of one, or from a preset's tables."""
    return build(TrainConfig, tree)
