"""Metrics with a mistake each."""

import torch

from aigc_core import Metric


class Good(Metric):
    def compare(self, real, generated, modality):
        return {"difference": abs(real.float().mean() - generated.float().mean()).item()}


class Nan(Metric):
    def compare(self, real, generated, modality):
        return {"difference": float("nan")}


class GivesTensors(Metric):
    def compare(self, real, generated, modality):
        return {"difference": real.float().mean()}


class Draws(Metric):
    def compare(self, real, generated, modality):
        return {"difference": torch.rand(()).item()}


class Sorts(Metric):
    def compare(self, real, generated, modality):
        real.copy_(real.flatten().sort(descending=True).values.view_as(real))
        return {"difference": 0.0}


class Silent(Metric):
    def compare(self, real, generated, modality):
        return {}
