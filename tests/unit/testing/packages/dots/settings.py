"""Settings; free of torch."""

from pydantic import Field

from aigc_core import ConfigModel, OptimizerConfig


class RingOptions(ConfigModel):
    count: int = Field(100, ge=1)


class NetConfig(ConfigModel):
    width: int = Field(16, ge=1)


class MomentsConfig(ConfigModel):
    optimizer: OptimizerConfig = OptimizerConfig(name="sgd", lr=0.05, momentum=0.5)
