import pytest

from coda_model.config import ModelConfig
from coda_model.errors import CodaError

RELEASED = {
    "architectures": ["CoDALanguageModel"],
    "attention_bias": False,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "mask_token_id": 151669,
    "max_position_embeddings": 40960,
    "max_window_layers": 28,
    "model_type": "CoDA",
    "num_attention_heads": 16,
    "num_hidden_layers": 28,
    "num_key_value_heads": 8,
    "pad_token_id": 151643,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "sliding_window": None,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
    "vocab_size": 151936,
}


def test_released_layout_is_the_default_shape() -> None:
    config = ModelConfig.from_dict(RELEASED)
    assert config == ModelConfig()
    assert not config.finds_length


def test_round_trip(tiny_config: ModelConfig) -> None:
    assert ModelConfig.from_dict(tiny_config.to_dict()) == tiny_config
    assert tiny_config.to_dict()["model_type"] == "CoDA"


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"rope_theta": None, "rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}, "rope_theta", 5e5),
        ({"eos_token_id": [7, 8]}, "eos_token_id", 7),
        ({"head_dim": None}, "head_dim", 128),
        ({"num_key_value_heads": None}, "num_key_value_heads", 16),
        ({"pad_token_id": None}, "pad_token_id", 151643),
        ({"expand_token_id": 151670, "delete_token_id": 151671}, "finds_length", True),
    ],
)
def test_variants_of_the_layout(change: dict, field: str, value: object) -> None:
    given = {key: value for key, value in (RELEASED | change).items() if value is not None}
    assert getattr(ModelConfig.from_dict(given), field) == value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": None}, "lacks hidden_size"),
        ({"mask_token_id": None}, "lacks mask_token_id"),
        ({"hidden_act": "gelu"}, "hidden_act='gelu'"),
        ({"attention_bias": True}, "attention_bias=True"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "rope scaling 'yarn'"),
        ({"vocab_size": "many"}, "vocab_size is 'many'"),
        ({"num_hidden_layers": True}, "num_hidden_layers is True"),
        ({"num_hidden_layers": 0}, "must be positive"),
        ({"mask_token_id": 151936}, "outside its vocabulary"),
        ({"num_key_value_heads": 5}, "not a multiple"),
        ({"head_dim": 127}, "odd"),
    ],
)
def test_what_is_refused(change: dict, message: str) -> None:
    with pytest.raises(CodaError, match=message):
        ModelConfig.from_dict(RELEASED | change)
