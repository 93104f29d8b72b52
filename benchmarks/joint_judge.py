"""Whether a joint model's pictures, sounds and words belong together, in every direction.

Pictures are judged by a classifier of MNIST, sounds by one of the Free Spoken Digit Dataset, both
trained on real data alone; a word is right if it is spelled right. What is given comes from the
split ``test`` of ``spoken-digits``: pictures and speakers that were never trained on.

    aigc train joint/flow --preset cpu --out joint
    AIGC_DATA_DIR=… python benchmarks/joint_judge.py joint --count 500
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import asdict
from pathlib import Path

import digit_judge
import numpy as np
import speech_judge
import torch
from aigc_joint.datasets.digits import WORDS, SpokenDigits
from aigc_joint.options import SpokenDigitsOptions
from torch import Tensor

from aigc_core import DataFolders, Request, SampleStore, open_sampler
from aigc_core.config import cache_folder, data_root

COLUMNS = {"samples": "picture", "sound": "sound", "text": "word"}


class Judges:
    """Says which digit each of a column's values is; -1 for what is no digit's word."""

    def __init__(self) -> None:
        self.pictures, self.picture_accuracy = digit_judge.trained_classifier()
        self.sounds, self.sound_accuracy = speech_judge.trained_classifier()

    @torch.no_grad()
    def digits(self, column: str, values: Tensor) -> np.ndarray:
        if column == "samples":
            logits = self.pictures.head(self.pictures.features(values))
            return logits.argmax(1).numpy()
        if column == "sound":
            return speech_judge.look(self.sounds, waveforms(values))[1].argmax(1)
        found = [bytes(row.tolist()).decode(errors="replace").rstrip("\0") for row in values]
        return np.array([WORDS.index(word) if word in WORDS else -1 for word in found])


def waveforms(clips: Tensor) -> Tensor:
    """Return int16 clips ``(N, 1, L)`` as ``(N, L)`` in [-1, 1], as loud as real ones."""
    return speech_judge._loud(clips[:, 0].float() / 32768)


def test_data() -> SampleStore:
    """Load what was never trained on."""
    folders = DataFolders(data_root(None), cache_folder())
    dataset = SpokenDigits(SpokenDigitsOptions(), folders)
    dataset.prepare()
    return dataset.load("test")


def main() -> None:
    """Print a line for each direction."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--guidance", type=float, nargs="+", default=[2.0])
    arguments = parser.parse_args()
    judges, store, sampler = Judges(), test_data(), open_sampler(arguments.run)
    real = {name: store.arrays[name][: arguments.count] for name in COLUMNS}
    labels = store.arrays["labels"][: arguments.count].numpy()
    print(f"judge of pictures: {judges.picture_accuracy:.2%} of the test images")
    print(f"judge of sounds: {judges.sound_accuracy:.1%} of speakers that it never heard")
    for name, values in real.items():
        right = (judges.digits(name, values) == labels).mean()
        print(f"real {COLUMNS[name]}s: {right:.1%}")
    for guidance, size in itertools.product(arguments.guidance, range(3)):
        for given in itertools.combinations(COLUMNS, size):
            asked = Request(
                count=arguments.count,
                inputs={name: real[name] for name in given},
                controls={"guidance": guidance},
            )
            drawn = sampler.columns(asked)
            heads = {n: judges.digits(n, drawn[n]) for n in COLUMNS if n not in given}
            what = " + ".join(COLUMNS[name] for name in given) or "nothing"
            if given:
                for name, found in heads.items():
                    print(f"guidance {guidance:g}: {what} -> {COLUMNS[name]}: "
                          f"{(found == labels).mean():.1%}", flush=True)  # fmt: skip
            else:
                columns = list(heads.values())
                agree = np.all([found == columns[0] for found in columns], axis=0)
                print(f"guidance {guidance:g}: nothing -> all three agree: {agree.mean():.1%}")
                pictures = digit_judge.judge(judges.pictures, drawn["samples"], real["samples"])
                print("pictures:", json.dumps(asdict(pictures)), flush=True)
                looks = [
                    speech_judge.look(judges.sounds, waveforms(clips))
                    for clips in (drawn["sound"], real["sound"])
                ]
                sounds = speech_judge.score(*looks[0], looks[1][0])
                print("sounds:", json.dumps(asdict(sounds)), flush=True)


if __name__ == "__main__":
    main()
