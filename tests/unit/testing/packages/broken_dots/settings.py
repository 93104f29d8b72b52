"""Settings that let a misspelt key pass, or lack a default."""

from dots.settings import NetConfig, RingOptions
from pydantic import ConfigDict, field_serializer

from aigc_core import ConfigModel


class AnyOptions(RingOptions):
    model_config = ConfigDict(extra="allow")


class NeedyOptions(ConfigModel):
    count: int


class AnyNetConfig(NetConfig):
    model_config = ConfigDict(extra="ignore")


class ForgetfulOptions(RingOptions):
    """Writes another number than it holds."""

    @field_serializer("count")
    def _write(self, count: int) -> int:
        return count + 1
