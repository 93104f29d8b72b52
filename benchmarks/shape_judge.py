"""Whether pictures of shapes are what their captions say: a rule reads them off the pixels.

    aigc train image/flow --preset words --out words
    python benchmarks/shape_judge.py words --guidance 2

Colour is the nearest of the palette; the number of shapes that of connected parts; their place that
of their middle; a part's shape and size are those whose drawing is nearest to it.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from aigc_core import Request, open_sampler
from aigc_image.datasets.captioned_shapes import (
    COLOURS,
    HELD_OUT,
    PLACES,
    SEEN,
    SHAPES,
    SIZES,
    Combination,
    caption_bytes,
    draw,
    inked,
)


def read_off(picture: np.ndarray) -> Combination | None:
    """Return what a picture shows, uint8 ``(3, S, S)``; None if it shows no shape."""
    size = picture.shape[1]
    ink = picture.max(0).astype(float) / 255
    parts, count = ndimage.label(ink > 0.4)
    areas = ndimage.sum_labels(np.ones_like(ink), parts, np.arange(1, count + 1))
    found = [n + 1 for n in range(count) if areas[n] >= 6]  # less is a speck
    if not found:
        return None
    mask = np.isin(parts, found)
    solid = mask & (ink > 0.6)
    colour = np.median(picture[:, solid if solid.any() else mask], axis=1)
    directions = {n: np.array(rgb) / np.linalg.norm(rgb) for n, rgb in COLOURS.items()}
    name = max(directions, key=lambda n: float(directions[n] @ colour))
    rows, columns = np.nonzero(mask)
    middle = np.array([columns.mean(), rows.mean()]) / size - 0.5
    place = min(PLACES, key=lambda n: float(np.hypot(*(middle - np.array(PLACES[n])))))
    kinds = Counter(_nearest(np.where(parts == number, ink, 0)) for number in found)
    shape, size_name = kinds.most_common(1)[0][0]
    number = {1: "one", 2: "two"}.get(len(found), str(len(found)))
    return Combination(number, size_name, name, shape, place)


def _nearest(part: np.ndarray) -> tuple[str, str]:
    """Return the shape and size whose drawing, moved to where it fits best, is nearest."""
    ink = torch.from_numpy(part / part.max()).float()
    size = len(ink)
    rows, columns = torch.nonzero(ink > 0.3, as_tuple=True)
    around = torch.arange(-3, 4) / 2  # pixels
    x0 = (columns.min() + columns.max() + 1) / 2 + around
    y0 = (rows.min() + rows.max() + 1) / 2 + around
    places = torch.arange(size) + 0.5
    x = (places[None, None, None, :] - x0[None, :, None, None]) / size
    y = (places[None, None, :, None] - y0[:, None, None, None]) / size
    errors = {}
    for number, shape in enumerate(SHAPES):
        for name, half in SIZES.items():
            drawn = inked(torch.tensor(number), x, y, torch.tensor(half), size)
            errors[shape, name] = float((drawn - ink).abs().sum((2, 3)).min())
    return min(errors, key=errors.__getitem__)


def agreement(pictures: Tensor, wanted: list[Combination]) -> dict[str, float]:
    """Return the share of pictures that are right, in each word and in several."""
    right: Counter[str] = Counter()
    for picture, combination in zip(pictures.numpy(), wanted, strict=True):
        found = read_off(picture)
        if found is None:
            continue
        same = {f: getattr(found, f) == getattr(combination, f) for f in Combination._fields}
        right.update(name for name, is_same in same.items() if is_same)
        right["colour, shape and place"] += same["colour"] and same["shape"] and same["place"]
        right["everything"] += all(same.values())
    return {name: round(count / len(wanted), 4) for name, count in right.items()}


def main() -> None:
    """Print the agreement of real pictures and of a run's, for seen and held-out captions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--guidance", type=float, nargs="*", default=[2.0])
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--page", type=Path, help="write a page of held-out captions' pictures")
    arguments = parser.parse_args()
    sampler = open_sampler(arguments.run)
    for name, combinations in (("seen", SEEN), ("held out", HELD_OUT)):
        chosen = torch.arange(arguments.count) % len(combinations)
        wanted = [combinations[i] for i in chosen.tolist()]
        real = draw(combinations, chosen, 32, torch.Generator().manual_seed(5))
        print(f"{name}, real pictures: {json.dumps(agreement(real, wanted))}")
        text = torch.stack([caption_bytes(c.caption) for c in wanted])
        for guidance in arguments.guidance:
            request = Request(
                count=arguments.count,
                inputs={"text": text},
                controls={"guidance": guidance, "steps": arguments.steps},
            )
            pictures = sampler.samples(request)
            scores = json.dumps(agreement(pictures, wanted))
            print(f"{name}, guidance {guidance:g}: {scores}", flush=True)
    if arguments.page:
        grid = pictures[:64].reshape(8, 8, 3, 32, 32).permute(0, 3, 1, 4, 2)
        page = Image.fromarray(grid.reshape(256, 256, 3).numpy())
        page.resize((768, 768), Image.Resampling.NEAREST).save(arguments.page)


if __name__ == "__main__":
    main()
