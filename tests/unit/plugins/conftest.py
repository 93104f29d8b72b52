"""What the tests of the plugin host share."""

import logging

import pytest


@pytest.fixture
def log_of_aigc(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> pytest.LogCaptureFixture:
    """The core's log messages, warnings and above."""
    monkeypatch.setattr(logging.getLogger("aigc"), "propagate", True)  # the CLI switches it off
    caplog.set_level(logging.WARNING, logger="aigc")
    return caplog
