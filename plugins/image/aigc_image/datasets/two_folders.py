"""Two folders of images below one: pairs of equal names, or two sets without pairs."""

import os
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from aigc_core import Column
from aigc_core.datasets import folder_labels, lazy_rows, list_some
from aigc_core.datasets.listing import DataFile
from aigc_core.errors import DataError
from aigc_image.datasets.folder import Arranged, ImageFolder


class _TwoFolders(ImageFolder):
    """Images below two folders, of which one becomes the column ``input``."""

    sides: ClassVar[tuple[str, str]]
    """The folder of ``input``, and that of ``samples``."""

    def name_of(self, path: str) -> str:
        """Return what an image is found by: its path, for pairs without the suffix."""
        return path

    def further_files(self, paths: Sequence[str]) -> Sequence[DataFile]:
        """Return none: two folders have no captions."""
        return ()

    def rows(
        self, paths: Sequence[str], counts: Sequence[int]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the rows of each file, by its name within its folder, for both sides.

        Raises:
            DataError: one of the folders has no image, or two of one name.
        """
        found: dict[str, dict[str, Tensor]] = {side: {} for side in self.sides}
        start = 0
        for path, count in zip(paths, counts, strict=True):
            side, _, rest = path.partition("/")
            if side in found and rest:
                name = self.name_of(rest)
                if name in found[side]:
                    raise DataError(
                        f"{self.folders.root}/{side} has several images named '{name}', which "
                        "differ in their suffix only: which of them is the partner is not clear."
                    )
                found[side][name] = torch.arange(start, start + count)
            start += count
        for side, files in found.items():
            if not files:
                raise DataError(
                    f"'{self.name}' needs images in two folders, {' and '.join(self.sides)}, below "
                    f"{self.folders.root}, and '{side}' has none."
                )
        return found[self.sides[0]], found[self.sides[1]]

    def others(self, paths: Sequence[str]) -> list[str]:
        """Return a note about images that are in neither folder."""
        lost = [path for path in paths if path.partition("/")[0] not in self.sides]
        where = " or ".join(self.sides)
        return [f"Left out, since they are not in {where}: {list_some(lost)}."] if lost else []


class PairedFolder(_TwoFolders):
    """Images below ``input`` and ``target`` with equal names, whatever their suffixes."""

    name = "paired-folder"
    sides = ("input", "target")

    def name_of(self, path: str) -> str:
        return os.path.splitext(path)[0]

    def arrange(
        self,
        paths: Sequence[str],
        counts: Sequence[int],
        arrays: dict[str, Tensor],
        label_names: list[str],
    ) -> Arranged:
        inputs, targets = self.rows(paths, counts)
        both = [n for n in targets if n in inputs and len(inputs[n]) == len(targets[n])]
        if not both:
            raise DataError(
                f"No image in {self.folders.root}/input has the name of one in target, such as "
                f"'{next(iter(targets))}'. Pairs have equal names; suffixes may differ."
            )
        alone = sorted(set(inputs) ^ set(targets) | {n for n in targets if n not in both})
        notes = self.others(paths)
        if alone:
            notes.append(f"Left out, since they have no partner: {list_some(alone)}.")
        samples = arrays["samples"]
        found = {
            "samples": lazy_rows(samples, torch.cat([targets[name] for name in both])),
            "input": lazy_rows(samples, torch.cat([inputs[name] for name in both])),
        }
        labels, names = folder_labels(both)
        if names:
            repeats = torch.tensor([len(targets[name]) for name in both])
            found["labels"] = torch.tensor(labels).repeat_interleave(repeats)
        return found, names, {"input": Column(modality="image", spec=self.spec)}, notes


class UnpairedFolder(_TwoFolders):
    """Images below ``a``, the column ``input``, and below ``b``, the samples."""

    name = "unpaired-folder"
    sides = ("a", "b")

    def arrange(
        self,
        paths: Sequence[str],
        counts: Sequence[int],
        arrays: dict[str, Tensor],
        label_names: list[str],
    ) -> Arranged:
        a, b = self.rows(paths, counts)
        found = {
            "samples": lazy_rows(arrays["samples"], torch.cat(list(b.values()))),
            "input": lazy_rows(arrays["samples"], torch.cat(list(a.values()))),
        }
        column = Column(modality="image", spec=self.spec, stream="input")
        return found, [], {"input": column}, self.others(paths)
