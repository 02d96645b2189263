"""The configuration class that `transformers.AutoConfig` gives for `model_type` "CoDA"."""

from transformers import PreTrainedConfig

from coda_model.config import MODEL_TYPE


class CoDAConfig(PreTrainedConfig):
    """The keys of `config.json` as attributes; the engine's ModelConfig checks them.

    It is no subclass of Qwen3Config: that class imports the registry of models, which is still being filled when this
    module is imported.
    """

    model_type = MODEL_TYPE
