"""Whether a joint model's pictures, sounds and words belong together, in every direction.

Pictures are judged by a classifier of MNIST, sounds by one of the Free Spoken Digit Dataset, both
trained on real data alone; a word is right if it is spelled right. What is given comes from the
split ``test`` of ``spoken-digits``: pictures and speakers that were never trained on.

    aigc train joint/flow --preset cpu --out joint
    AIGC_DATA_DIR=… python benchmarks/joint_judge.py joint --count 500
    AIGC_DATA_DIR=… python benchmarks/joint_judge.py joint --page joint.png
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
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from aigc_audio.preview import spectrogram_sheet
from aigc_core import DataFolders, Request, Sampler, SampleStore, open_sampler
from aigc_core.config import cache_folder, data_root

INK = (24, 24, 28), (230, 230, 235), (255, 176, 0)
"""Background, letters, frames."""
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


def page(sampler: Sampler, store: SampleStore, guidance: float) -> Image.Image:
    """Draw a row for each column that is given: it on the left, what it became beside it.

    Three are given of each column, the first ones of three digits.
    """
    labels = store.arrays["labels"]
    rate_hz = round(store.columns["sound"].spec.units["sample_rate_hz"])
    rows = torch.stack([(labels == digit).nonzero()[0, 0] for digit in (3, 7, 8)])
    width, height, gap = 128, 96, 6
    sheet = Image.new("RGB", (9 * (width + gap) + 4 * gap, 3 * (height + gap) + gap), INK[0])
    for line, given in enumerate(("sound", "samples", "text")):
        shown = {given: store.arrays[given][rows]}
        asked = Request(count=len(rows), inputs=shown, controls={"guidance": guidance})
        found = sampler.columns(asked) | shown
        order = [given, *(name for name in COLUMNS if name != given)]
        for case in range(len(rows)):
            for place, name in enumerate(order):
                tile = drawn(name, found[name][case], rate_hz).resize((width, height))
                left = gap + (3 * case + place) * (width + gap) + case * gap
                sheet.paste(tile, (left, gap + line * (height + gap)))
                if name == given:  # marked by a frame
                    corner = (left - 2, gap + line * (height + gap) - 2)
                    far = (left + width + 1, gap + line * (height + gap) + height + 1)
                    ImageDraw.Draw(sheet).rectangle((*corner, *far), outline=INK[2], width=2)
    return sheet


def drawn(column: str, value: Tensor, rate_hz: int) -> Image.Image:
    """Return a picture of one stored value: grey, a spectrogram, or a word."""
    if column == "samples":
        square = Image.fromarray(value[0].numpy()).resize((96, 96))
        tile = Image.new("L", (128, 96))
        tile.paste(square, (16, 0))
        return tile.convert("RGB")
    if column == "sound":
        sheet = spectrogram_sheet(value[None], rate_hz)
        return sheet.crop((4, 18, 4 + 192, 18 + 128))
    tile = Image.new("RGB", (128, 96), INK[0])
    word = bytes(value.tolist()).decode(errors="replace").rstrip("\0")
    font = ImageFont.load_default(24)
    ImageDraw.Draw(tile).text((64, 48), word, fill=INK[1], font=font, anchor="mm")
    return tile


def main() -> None:
    """Print a line for each direction, or draw a picture of some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--guidance", type=float, nargs="+", default=[2.0])
    parser.add_argument("--page", type=Path, help="draw a picture of some, and judge nothing")
    arguments = parser.parse_args()
    store, sampler = test_data(), open_sampler(arguments.run)
    if arguments.page is not None:
        page(sampler, store, arguments.guidance[0]).save(arguments.page)
        return
    judges = Judges()
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
