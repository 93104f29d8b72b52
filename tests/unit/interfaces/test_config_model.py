"""Settings take true and false for what they are."""

from typing import Any, Literal

import pytest

from aigc_core import ConfigModel
from aigc_core.errors import ConfigError


class Settings(ConfigModel):
    count: int = 1
    rate: float | None = None
    pair: tuple[float, float] = (0.0, 1.0)
    flag: bool = False
    either: bool | int = 0
    anything: Any = None
    word: Literal["a"] = "a"
    names: tuple[str, ...] = ()


@pytest.mark.parametrize("values", [{"count": True}, {"rate": False}, {"pair": [True, 1.0]}])
def test_true_is_no_number(values: dict[str, Any]) -> None:
    """pydantic takes it for 1, so that ``engine.steps=true`` trained for one step."""
    with pytest.raises(ConfigError, match="it should be a number, not true or false"):
        Settings(**values)


@pytest.mark.parametrize(
    "values", [{"flag": True}, {"either": True}, {"anything": True}, {"count": 2, "rate": 1}]
)
def test_it_is_what_it_is_where_it_may_be(values: dict[str, Any]) -> None:
    settings = Settings(**values)
    assert {key: getattr(settings, key) for key in values} == values


def test_what_is_no_number_anyway_has_its_own_words() -> None:
    with pytest.raises(ConfigError, match="should be 'a'"):
        Settings(word=True)
