"""Does at import, in a hook and in its options what changes the command that loads it."""

import logging
import os
import signal

import dots
from dots import aigc_register_modalities

from aigc_core import DatasetSpec, hookimpl

__all__ = ["aigc_register_modalities"]

HOW = os.environ.get("NOISY", "")
if HOW == "prints":
    print("welcome to noisy")
if HOW == "writes":
    os.write(1, b"welcome from C\n")
if HOW == "folder":
    os.chdir("/")
if HOW == "signals":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if HOW == "logging":
    logging.disable(logging.WARNING)
if HOW == "environment":
    os.environ["NOISY_WAS_HERE"] = "1"
if HOW == "torch":  # sets variables of its own
    import torch  # noqa: F401

    os.environ["PYTORCH_ENABLE_MPS_FALLBACK"] = "1"


@hookimpl
def aigc_register_datasets() -> list[DatasetSpec]:
    if HOW == "hook":
        print("registering")
    return dots.aigc_register_datasets()


@hookimpl
def aigc_extend_cli(app: object) -> None:
    if HOW == "commands":
        print("commands")
