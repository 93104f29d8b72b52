"""The blocks of a transformer: attention and MLP, each after a layer norm (Radford et al. 2019)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu, scaled_dot_product_attention


def attention(
    queries: Tensor, keys: Tensor, values: Tensor, *, p: float = 0.0, causal: bool = False
) -> Tensor:
    """Return what each query attends to of all values (Vaswani et al. 2017, equation 1).

    Args:
        queries: ``(B, H, T, D)``.
        keys: what queries are compared with, ``(B, H, S, D)``.
        values: what is attended to, ``(B, H, S, D)``.
        p: probability of dropping an attention weight.
        causal: let a position see itself and those before it only; S is then T.
    """
    if queries.device.type != "cpu" or queries.dtype != torch.bfloat16:
        return scaled_dot_product_attention(queries, keys, values, dropout_p=p, is_causal=causal)
    # In float32: the backward pass of PyTorch's bfloat16 kernel for CPUs is four times slower on
    # short sequences.
    with torch.autocast("cpu", enabled=False):
        return scaled_dot_product_attention(
            queries.float(), keys.float(), values.float(), dropout_p=p, is_causal=causal
        )


class Attention(nn.Module):
    """Self-attention with several heads, ``(B, T, W)`` to ``(B, T, W)``."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0, causal: bool = True) -> None:
        """Make the layers; ``heads`` divides ``width``."""
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.causal = causal
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        p = self.dropout if self.training else 0.0
        packed: Tensor = self.qkv(x)  # (B, T, 3 W)
        heads = packed.view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        queries, keys, values = heads.unbind()  # (B, H, T, D) each
        attended = attention(queries, keys, values, p=p, causal=self.causal)
        out: Tensor = self.attention_out(attended.transpose(1, 2).flatten(2))  # -> (B, T, W)
        return out


class CrossAttention(nn.Module):
    """Attention to another sequence, with several heads: ``(B, T, W)`` and ``(B, S, W)``."""

    def __init__(self, width: int, heads: int) -> None:
        """Make the layers; ``heads`` divides ``width``."""
        super().__init__()
        self.heads = heads
        self.queries = nn.Linear(width, width, bias=False)
        self.keys_values = nn.Linear(width, 2 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        asked = self.queries(x).view(*x.shape[:2], self.heads, -1).transpose(1, 2)  # (B, H, T, D)
        packed: Tensor = self.keys_values(context)  # (B, S, 2 W)
        heads = packed.view(*context.shape[:2], 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        keys, values = heads.unbind()  # (B, H, S, D) each
        attended = attention(asked, keys, values)
        out: Tensor = self.attention_out(attended.transpose(1, 2).flatten(2))  # -> (B, T, W)
        return out


class MLP(nn.Module):
    """Two layers, four times as wide in between, with a GELU (Hendrycks & Gimpel 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp_in = nn.Linear(width, 4 * width, bias=False)
        self.mlp_out = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.mlp_out(gelu(self.mlp_in(x)))
        return out


class Block(nn.Module):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))``, on ``(B, T, W)``."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0, causal: bool = True) -> None:
        """Make the layers; see ``Attention``."""
        super().__init__()
        self.dropout = dropout
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout, causal)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = MLP(width)

    def forward(self, x: Tensor) -> Tensor:
        p = self.dropout if self.training else 0.0
        attended = self.attention(self.attention_norm(x))
        x = x + (dropout(attended, p) if p else attended)
        fed = self.mlp(self.mlp_norm(x))
        return x + (dropout(fed, p) if p else fed)


def initialize_transformer(network: nn.Module) -> None:
    """Draw a transformer's matrices as GPT-2 does (Radford et al. 2019, section 2.3).

    With a standard deviation of 0.02, and smaller by the root of their number for the layers whose
    outputs are added up. Larger ones let the sum outgrow what it began with, and the output becomes
    the same for all inputs.
    """
    matrices = {name: p for name, p in network.named_parameters() if p.dim() == 2}
    added = [n for n in matrices if n.endswith(("attention_out.weight", "mlp_out.weight"))]
    for name, matrix in matrices.items():
        nn.init.normal_(matrix, 0.0, 0.02 / math.sqrt(len(added)) if name in added else 0.02)


class CrossBlock(nn.Module):
    """``x + attention(norm(x), norm(context))``, then ``x + mlp(norm(x))``.

    ``x`` is ``(B, T, W)``, the context ``(B, S, W)``.
    """

    def __init__(self, width: int, heads: int) -> None:
        """Make the layers; see ``CrossAttention``."""
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.context_norm = nn.LayerNorm(width)
        self.attention = CrossAttention(width, heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = MLP(width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), self.context_norm(context))
        out: Tensor = x + self.mlp(self.mlp_norm(x))
        return out
