"""How wrong a prediction of a sample's class is."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy


def classification(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy -E log softmax(logits)[label], in nats.

    Args:
        logits: ``(B, classes)``.
        labels: int64 ``(B,)``.
    """
    return cross_entropy(logits.float(), labels)
