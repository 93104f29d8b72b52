"""Pictures of point clouds: each point a small ball, lit from above, the nearer the brighter."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TILE = 160
"""Pixels of a cloud's side in a picture."""
TURNING_TILE, TURNING_CLOUDS, FRAMES = 112, 16, 20
"""The same in a picture that turns, how many clouds it shows, and in how many steps it turns."""
PITCH = math.radians(25)
"""How far the eye is above the horizon."""
YAW = math.radians(30)

Float = NDArray[np.float64]

_LEVELS = 24  # of brightness in pictures that turn, which makes their files small
_FILL = 0.46  # half of a tile is a little more than the unit ball's radius
_DARK, _NEAR = 0.35, (np.array((16, 20, 30)), np.array((90, 150, 215)), np.array((250, 244, 228)))
"""Brightness of the farthest point, and colours of the background, of middle and full light."""


def sheet(clouds: NDArray[np.float32]) -> Image.Image:
    """Draw clouds ``(B, N, 3)`` in [-1, 1] as a roughly square grid, in reading order."""
    return _picture(clouds, YAW, TILE, levels=254)


def turning(clouds: NDArray[np.float32]) -> list[Image.Image]:
    """Draw the first ``TURNING_CLOUDS`` clouds in ``FRAMES`` steps of a turn about the vertical."""
    shown = clouds[:TURNING_CLOUDS]
    yaws = [YAW + 2 * math.pi * frame / FRAMES for frame in range(FRAMES)]
    return [_picture(shown, yaw, TURNING_TILE, levels=_LEVELS) for yaw in yaws]


def _picture(clouds: NDArray[np.float32], yaw: float, size: int, levels: int) -> Image.Image:
    columns = math.ceil(math.sqrt(len(clouds)))
    rows = math.ceil(len(clouds) / columns)
    shades = np.zeros((rows * size, columns * size), np.uint8)
    for number, cloud in enumerate(clouds):
        row, column = divmod(number, columns)
        place = np.s_[row * size : (row + 1) * size, column * size : (column + 1) * size]
        light = _light(cloud.astype(np.float64), yaw, size)
        shades[place] = np.where(light > 0, 1 + 254 * np.ceil(light * levels) / levels, 0)
    image = Image.fromarray(shades).convert("P")
    image.putpalette(_palette())
    return image


def _light(cloud: Float, yaw: float, size: int) -> Float:
    """Return brightness ``(size, size)`` up to 1, 0 where there is nothing, of ``(N, 3)``."""
    seen = cloud @ _view(yaw)  # (N, 3): right, down, near
    seen = seen[seen[:, 2].argsort()]  # nearer points are written later, over farther ones
    radius = min(0.028 * size, 0.9 * size / math.sqrt(len(cloud)))
    rows, columns, lit = _ball(max(radius, 0.8))
    edge = size  # around the picture: corners of the cube lie beyond it
    middles = edge + np.rint(size * (0.5 + _FILL * seen[:, 1::-1])).astype(int)  # row, column
    row, column = middles[:, :1] + rows, middles[:, 1:] + columns  # (N, pixels of a ball)
    nearness = _DARK + (1 - _DARK) * (seen[:, 2:] + 1).clip(0, 2) / 2  # (N, 1)
    light = np.zeros((3 * size, 3 * size))
    light[row, column] = nearness * lit
    return light[edge:-edge, edge:-edge]


def _view(yaw: float) -> Float:
    """Return the matrix from x, y (up), z to right, down and near."""
    sine, cosine = math.sin(yaw), math.cos(yaw)
    up, ahead = math.cos(PITCH), math.sin(PITCH)
    right = (cosine, 0.0, -sine)
    near = (sine * up, ahead, cosine * up)
    down = (sine * ahead, -up, cosine * ahead)
    return np.array((right, down, near)).T


def _ball(radius: float) -> tuple[NDArray[np.int64], NDArray[np.int64], Float]:
    """Return rows, columns and brightness, each ``(pixels,)``, of a ball lit from above left."""
    reach = math.ceil(radius)
    rows, columns = (side.ravel() for side in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    inside = rows**2 + columns**2 <= radius**2
    rows, columns = rows[inside], columns[inside]
    towards = np.sqrt(np.maximum(0, 1 - (rows**2 + columns**2) / radius**2))
    light = 0.45 + 0.55 * (0.75 * towards - 0.45 * rows / radius - 0.3 * columns / radius)
    return rows, columns, light.clip(0.2, 1)


def _palette() -> list[int]:
    """Return 256 colours, from the background to full light."""
    places, wanted = [0.0, 0.5, 1.0], np.linspace(0, 1, 256)
    colours = np.array(_NEAR)
    channels = [np.interp(wanted, places, colours[:, channel]) for channel in range(3)]
    palette: list[int] = np.stack(channels, axis=1).round().astype(int).ravel().tolist()
    return palette
