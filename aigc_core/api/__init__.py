"""Train, resume, generate and evaluate: where host, configuration, engine and runs meet."""

from aigc_core.api.evaluate import Evaluation, evaluate
from aigc_core.api.generate import generate, generate_files
from aigc_core.api.prepare import prepare_training
from aigc_core.api.stream import stream_text
from aigc_core.api.train import resume, train

__all__ = [
    "Evaluation",
    "evaluate",
    "generate",
    "generate_files",
    "prepare_training",
    "resume",
    "stream_text",
    "train",
]
