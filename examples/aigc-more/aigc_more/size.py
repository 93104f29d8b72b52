"""Whether clouds are as large as real ones."""

from torch import Tensor

from aigc_core import Metric, Modality


class Size(Metric):
    """Mean distance of points from the middle, of real and of generated clouds."""

    def compare(self, real: Tensor, generated: Tensor, modality: Modality) -> dict[str, float]:
        sizes = [modality.to_model(x).norm(dim=2).mean().item() for x in (real, generated)]
        return {"real": sizes[0], "generated": sizes[1]}
