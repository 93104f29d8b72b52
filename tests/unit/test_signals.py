"""A signal may raise anywhere, and what comes of that is still an ending by a signal."""

import pytest

from aigc_core.cli.main import _call
from aigc_core.errors import Terminated


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), Terminated(143)])
def test_an_error_that_a_signal_caused_is_the_signal(raised: BaseException) -> None:
    def app(args: list[str], prog_name: str, standalone_mode: bool) -> None:
        try:
            raise raised  # as the handler does, within a lock
        finally:
            raise RuntimeError("release unlocked lock")

    with pytest.raises(type(raised)) as found:
        _call(app, ["runs"])
    assert found.value is raised
