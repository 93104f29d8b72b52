"""The cache of a causal transformer that draws token by token, and the work for one more token.

Call overhead, not arithmetic, dominates the cost of a token, so there are few calls: the
multiplication for queries, keys and values writes them straight into the cache, a residual is added
by the multiplication before it, and weights are looked up once. There is no dropout, and there are
no gradients. Rows are (token, sample) pairs, ordered by token: ``(n * B, W)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, layer_norm, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from aigc_core.networks.transformer import Block


def _norm(layer: nn.LayerNorm) -> tuple[tuple[int, ...], Tensor, Tensor, float]:
    """Return the arguments of ``torch.layer_norm`` after the input."""
    return layer.normalized_shape, layer.weight.detach(), layer.bias.detach(), layer.eps


class LayerCache:
    """A block's queries, keys and values for the tokens in the window, in memory reserved once."""

    def __init__(self, block: Block, batch: int, context: int) -> None:
        self.batch = batch
        self.attention_norm = _norm(block.attention_norm)
        self.mlp_norm = _norm(block.mlp_norm)
        attention, mlp = block.attention, block.mlp
        layers = (attention.qkv, attention.attention_out, mlp.mlp_in, mlp.mlp_out)
        self.qkv, self.attention_out, self.mlp_in, self.mlp_out = (
            layer.weight.detach().t() for layer in layers
        )
        self.packed = self.qkv.new_empty(context * batch, self.qkv.shape[1])  # (C*B, 3 W)
        heads = self.packed.view(context, batch, 3, attention.heads, -1)
        self.heads = heads.permute(2, 1, 3, 0, 4).unbind()  # 3 x (B, H, C, D), the same memory

    def extend(self, x: Tensor, start: int, end: int) -> Tensor:
        """Process the rows of all tokens from 0 to ``end``, or of the one token at ``start``."""
        found = self.packed[start * self.batch : end * self.batch]
        torch.mm(layer_norm(x, *self.attention_norm), self.qkv, out=found)
        queries, keys, values = self.heads
        attended = scaled_dot_product_attention(
            queries.narrow(2, start, end - start),
            keys.narrow(2, 0, end),
            values.narrow(2, 0, end),
            is_causal=start == 0,
        )
        attended = attended.permute(2, 0, 1, 3).reshape(x.shape)  # (B, H, n, D) -> (n*B, W)
        x = torch.addmm(x, attended, self.attention_out)
        fed = gelu(torch.mm(layer_norm(x, *self.mlp_norm), self.mlp_in))
        return torch.addmm(x, fed, self.mlp_out)


class TokenCache:
    """State of sampling: the tokens in the window, and what each layer keeps of them."""

    def __init__(
        self,
        *,
        embedding: nn.Embedding,
        added: Tensor,
        blocks: Sequence[Block],
        norm: nn.LayerNorm,
        logits: nn.Linear,
        window: Callable[[int], int],
        batch: int,
    ) -> None:
        """Take a network's parts.

        Args:
            embedding: of tokens.
            added: what is added to tokens by position, ``(C, W)`` or ``(B, C, W)``.
            blocks: in order.
            norm: after the last of them.
            logits: after that.
            window: maps the number of tokens so far to how many the next one depends on.
            batch: how many sequences are drawn at once.
        """
        self.batch = batch
        self.length = 0
        """Tokens in the window."""
        self.total = 0
        """Tokens so far, including those that have left the window."""
        self._window = window
        self._tokens: list[Tensor] = []  # those in the window, int64 (B, n) each
        self._embedding = embedding.weight.detach()  # (V, W)
        added = added.detach().expand(batch, -1, -1)  # (C, W) or (B, C, W) -> (B, C, W)
        self._added = added.transpose(0, 1).flatten(0, 1)  # -> (C*B, W)
        self.layers = [LayerCache(block, batch, added.shape[1]) for block in blocks]
        self._norm = _norm(norm)
        self._logits = logits.weight.detach().t()  # (W, V)

    def take(self, tokens: Tensor) -> Tensor:
        """Append tokens ``(B, n)`` and return the logits ``(B, V)`` after them."""
        self.total += tokens.shape[1]
        start, end = self.length, self._window(self.total)
        if tokens.shape[1] == 1 and end == start + 1:
            self._tokens.append(tokens)
        else:  # the prompt, or a window that has moved
            tokens = torch.cat([*self._tokens, tokens], dim=1)[:, -end:]
            self._tokens, start = [tokens], 0
        self.length = end
        rows = tokens.t().reshape(-1)  # (B, n) -> (n*B,)
        x = torch.embedding(self._embedding, rows)
        x = x + self._added[start * self.batch : end * self.batch]
        for layer in self.layers:
            x = layer.extend(x, start, end)
        return torch.mm(layer_norm(x[-self.batch :], *self._norm), self._logits)
