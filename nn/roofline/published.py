"""Sizes of published models, as the configurations of their releases state them."""

from nn.layers.mixture import MixtureConfig
from nn.models.decoder import DecoderConfig
from nn.models.hybrid import HybridConfig
from nn.models.latent_decoder import LatentConfig

# A. Yang et al., arXiv 2505.09388, table 1; widths and heads of the released configurations.
QWEN3_14B = DecoderConfig(
    vocabulary=151_936, width=5120, n_layers=40, heads=40, kv_heads=8, head_dim=128, hidden=17_408, query_key_norm=True,
)  # fmt: skip
QWEN3_30B_A3B = DecoderConfig(
    vocabulary=151_936, width=2048, n_layers=48, heads=32, kv_heads=4, head_dim=128, hidden=0, query_key_norm=True,
    mixture=MixtureConfig(n_experts=128, n_chosen=8, hidden=768),
)  # fmt: skip
QWEN3_NEXT_80B_A3B = HybridConfig(
    vocabulary=151_936, width=2048, n_layers=48, heads=16, kv_heads=2, head_dim=256, rotary_dim=64,
    delta_heads=32, delta_key_heads=16, delta_key_dim=128, delta_value_dim=128,
    mixture=MixtureConfig(n_experts=512, n_chosen=10, hidden=512, shared_hidden=512, shared_gated=True),
)  # fmt: skip
# Without the layers that predict a further token. DeepSeek-AI, arXiv 2412.19437, section 4.2, and the index of V3.2.
DEEPSEEK_V32 = LatentConfig(
    vocabulary=129_280, width=7168, n_layers=61, n_dense=3, heads=128, query_rank=1536, rank=512, key_dim=128,
    rotary_dim=64, value_dim=128, hidden=18_432,
    mixture=MixtureConfig(
        256, 8, 2048, "sigmoid", scale=2.5, selection_bias=True, n_groups=8, n_groups_chosen=4, shared_hidden=2048,
    ),
    index_heads=64, index_dim=128, n_kept=2048,
)  # fmt: skip
