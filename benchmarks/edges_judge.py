"""Outlines to digits: makes pairs from MNIST, and asks a classifier what a run made of new ones.

The classifier is that of ``digit_judge.py``. It sees what the run drew from the outlines of test
images; the score is how often it finds the class of the image they were taken from.

    AIGC_DATA_DIR=… python benchmarks/edges_judge.py --prepare FOLDER
    aigc train image/translate --preset cpu --dataset paired-folder --data-root FOLDER \
        --set dataset.options.size=28 --set dataset.options.channels=1
    AIGC_DATA_DIR=… python benchmarks/edges_judge.py RUN --page edges.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from digit_judge import _look, mnist, trained_classifier
from PIL import Image

from aigc_core import Request, open_sampler
from aigc_image.datasets.digit_pairs import edges_of


def prepare(folder: Path, count: int) -> None:
    """Write pairs of outlines and digits below a folder."""
    digits = mnist("train").arrays["samples"][:count]
    for name, images in (("input", edges_of(digits)), ("target", digits)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(images[:, 0].numpy()):
            Image.fromarray(image).save(folder / name / f"{number:05d}.png")


def main() -> None:
    """Write pairs, or print how often runs draw the right digit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--prepare", type=Path, metavar="FOLDER")
    parser.add_argument("--count", type=int, help="Pairs to write (10,000) or to judge (1,000).")
    parser.add_argument("--page", type=Path, help="A picture: outline, drawn, real, in rows.")
    arguments = parser.parse_args()
    if arguments.prepare is not None:
        prepare(arguments.prepare, arguments.count or 10_000)
        return
    count = arguments.count or 1000
    test = mnist("test")
    digits, labels = test.arrays["samples"][:count], test.arrays["labels"][:count]
    edges = edges_of(digits)
    classifier, _ = trained_classifier()
    for run in arguments.runs:
        drawn = open_sampler(run).samples(Request(count=count, inputs={"input": edges}))
        shown = {"drawn": drawn, "real": digits, "outlines": edges}
        for name, images in shown.items():
            _, probabilities = _look(classifier, images)
            right = (probabilities.argmax(1) == labels.numpy()).mean()
            print(f"{run}: {name}: {right:.1%} of {count:,} right")
        if arguments.page is not None:
            rows = torch.cat([torch.cat(list(x[:20, 0]), 1) for x in (edges, drawn, digits)])
            Image.fromarray(rows.numpy()).resize((20 * 56, 3 * 56), 0).save(arguments.page)


if __name__ == "__main__":
    main()
