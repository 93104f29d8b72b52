"""Train, resume and generate: the one place where host, configuration, engine and runs meet."""

from aigc_core.api.generate import generate, generate_files
from aigc_core.api.train import prepare_training, resume, train

__all__ = ["generate", "generate_files", "prepare_training", "resume", "train"]
