"""Train, resume, generate and evaluate: ties together host, configuration, engine and runs."""

from typing import TYPE_CHECKING

from aigc_core._lazy import lazy_exports
from aigc_core.api.commands import resume, train

if TYPE_CHECKING:
    from aigc_core.api.blueprint import Blueprint
    from aigc_core.api.evaluation import Evaluation, evaluate
    from aigc_core.api.exporting import Exported, export_run
    from aigc_core.api.files import GeneratedFiles, generate_files
    from aigc_core.api.generation import generate, generate_text, load_generator, stream_text
    from aigc_core.api.importing import import_run
    from aigc_core.api.made_by import Origin, origin_of
    from aigc_core.api.packing import PackedDataset, pack_dataset
    from aigc_core.api.preview import DatasetPreview, preview_dataset
    from aigc_core.api.request import Request, RequestValidator
    from aigc_core.api.sampler import Sampler, open_sampler
    from aigc_core.api.training import Training

_WHERE = {
    "blueprint": ("Blueprint",),
    "evaluation": ("Evaluation", "evaluate"),
    "exporting": ("Exported", "export_run"),
    "generation": ("generate", "generate_text", "load_generator", "stream_text"),
    "packing": ("PackedDataset", "pack_dataset"),
    "importing": ("import_run",),
    "made_by": ("Origin", "origin_of"),
    "preview": ("DatasetPreview", "preview_dataset"),
    "files": ("GeneratedFiles", "generate_files"),
    "request": ("Request", "RequestValidator"),
    "sampler": ("Sampler", "open_sampler"),
    "training": ("Training",),
}
__getattr__ = lazy_exports(
    __name__, {name: module for module, names in _WHERE.items() for name in names}
)

__all__ = [
    "Blueprint",
    "DatasetPreview",
    "Evaluation",
    "Exported",
    "GeneratedFiles",
    "Origin",
    "PackedDataset",
    "Request",
    "RequestValidator",
    "Sampler",
    "Training",
    "evaluate",
    "export_run",
    "generate",
    "generate_files",
    "generate_text",
    "import_run",
    "load_generator",
    "open_sampler",
    "origin_of",
    "pack_dataset",
    "preview_dataset",
    "resume",
    "stream_text",
    "train",
]
