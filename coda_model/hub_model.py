"""The model class that `transformers.AutoModel` gives for `model_type` "CoDA": the engine's backbone in their frame."""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput

from coda_model.config import WEIGHTS_KEY, ModelConfig
from coda_model.errors import CodaError
from coda_model.hub_config import CoDAConfig
from coda_model.transformer import Backbone


class CoDALanguageModel(PreTrainedModel):
    config_class = CoDAConfig
    base_model_prefix = "model"
    _supports_sdpa = True
    # Tied only where the files hold no head of their own, as transformers does by itself.
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: CoDAConfig) -> None:
        if getattr(config, WEIGHTS_KEY, None) is not None:
            raise CodaError("transformers does not read int8 weights of CoDA: use coda_model.load_model for them.")
        super().__init__(config)
        self.model = Backbone(ModelConfig.from_dict(config.to_dict()))
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        return_dict: bool | None = None,
        **_: object,
    ) -> MaskedLMOutput | tuple[Tensor]:
        """Logits [B, L, V] fp32, where row i - 1 predicts token i. attention_mask: [B, L], 1 for real tokens."""
        hidden_BxLxD = self.model(input_ids, position_ids, attention_mask)
        logits_BxLxV = self.lm_head(hidden_BxLxD).to(torch.float32)
        return (logits_BxLxV,) if return_dict is False else MaskedLMOutput(logits=logits_BxLxV)
