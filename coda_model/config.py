"""The shape of a model, read from and written to the `config.json` of a checkpoint."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from coda_model.errors import CodaError

MODEL_TYPE = "CoDA"
ARCHITECTURE = "CoDALanguageModel"
# In `config.json` says `int8` where matrices are stored so: another reader of the format would take them for weights.
WEIGHTS_KEY = "coda_weights"
_OPTIONAL_IDS = ("expand_token_id", "delete_token_id")
# What the backbone does not vary: no biases, SiLU-gated feed-forward, full attention everywhere.
_PLAIN_VARIANTS: dict[str, Any] = {"attention_bias": False, "hidden_act": "silu", "use_sliding_window": False}


@dataclass(frozen=True)
class ModelConfig:
    """A Qwen3 backbone with full attention and a mask token; field names are those of the checkpoint's `config.json`.

    The defaults are the shape of CoDA-1.7B (arXiv 2510.03270). `expand_token_id` and `delete_token_id` are None for a
    checkpoint that was not trained to find the length of an infill. Raises CodaError where the numbers contradict
    each other.
    """

    vocab_size: int = 151936
    hidden_size: int = 2048
    intermediate_size: int = 6144
    num_hidden_layers: int = 28
    num_attention_heads: int = 16
    num_key_value_heads: int = 8
    head_dim: int = 128
    rms_norm_eps: float = 1e-6
    rope_theta: float = 1e6
    max_position_embeddings: int = 40960
    tie_word_embeddings: bool = True
    bos_token_id: int = 151643
    eos_token_id: int = 151645
    pad_token_id: int = 151643
    mask_token_id: int = 151669
    expand_token_id: int | None = None
    delete_token_id: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            is_id = field.name.endswith("_token_id")
            if value is None and field.name in _OPTIONAL_IDS:
                continue
            kinds = (int, float) if field.type is float else (field.type if field.type is bool else int)
            if not isinstance(value, kinds) or (field.type is not bool and isinstance(value, bool)):
                raise CodaError(f"The model configuration's {field.name} is {value!r}, which is no fitting value.")
            if is_id and not 0 <= value < self.vocab_size:
                raise CodaError(
                    f"The model configuration's {field.name} {value} is outside its vocabulary of {self.vocab_size}."
                )
            if field.type is not bool and not is_id and value <= 0:
                raise CodaError(f"The model configuration's {field.name} is {value!r}; it must be positive.")
        if self.num_attention_heads % self.num_key_value_heads:
            raise CodaError(
                f"The model configuration's num_attention_heads {self.num_attention_heads} is not a multiple of "
                f"num_key_value_heads {self.num_key_value_heads}."
            )
        if self.head_dim % 2:
            raise CodaError(
                f"The model configuration's head_dim {self.head_dim} is odd; rotary positions need an even one."
            )

    @property
    def finds_length(self) -> bool:
        """Whether the model can grow and shrink a hole by itself."""
        return self.expand_token_id is not None and self.delete_token_id is not None

    @property
    def parameters(self) -> int:
        """Weights of the model, a head of its own included where it is not tied."""
        queries, keys = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        attention = 2 * self.hidden_size * (queries + keys) + 2 * self.head_dim
        layer = attention + 3 * self.hidden_size * self.intermediate_size + 2 * self.hidden_size
        embeddings = self.vocab_size * self.hidden_size * (1 if self.tie_word_embeddings else 2)
        return embeddings + self.num_hidden_layers * layer + self.hidden_size

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read the keys of a `config.json`. Raises CodaError naming a missing key or an unsupported variant."""
        values = dict(values)
        rope = values.get("rope_parameters") or {}
        if "rope_theta" not in values and isinstance(rope, Mapping) and "rope_theta" in rope:
            values["rope_theta"] = rope["rope_theta"]
        for key, plain in _PLAIN_VARIANTS.items():
            if values.get(key, plain) != plain:
                raise CodaError(f"The model configuration asks for {key}={values[key]!r}, which is not supported.")
        for scaling in (values.get("rope_scaling") or {}, rope):
            kind = scaling.get("rope_type", scaling.get("type", "default")) if isinstance(scaling, Mapping) else scaling
            if kind not in ("default", None):
                raise CodaError(f"The model configuration asks for rope scaling {kind!r}, which is not supported.")
        heads, eos = values.get("num_attention_heads"), values.get("eos_token_id")
        if isinstance(eos, list) and eos:
            values["eos_token_id"] = eos[0]
        if values.get("head_dim") is None and isinstance(heads, int) and heads and "hidden_size" in values:
            values["head_dim"] = values["hidden_size"] // heads
        if values.get("num_key_value_heads") is None:
            values["num_key_value_heads"] = heads
        if values.get("pad_token_id") is None:
            values["pad_token_id"] = values.get("bos_token_id")
        optional = {"tie_word_embeddings", *_OPTIONAL_IDS}
        known = [field.name for field in fields(cls)]
        missing = [name for name in known if name not in optional and values.get(name) is None]
        if missing:
            raise CodaError(f"The model configuration lacks {', '.join(missing)}.")
        return cls(**{name: values[name] for name in known if name in values})

    def to_dict(self) -> dict[str, Any]:
        """The content of `config.json`, in the layout of the released checkpoints."""
        shape = {name: value for name, value in asdict(self).items() if value is not None}
        return {"architectures": [ARCHITECTURE], "model_type": MODEL_TYPE, **_PLAIN_VARIANTS, **shape}
