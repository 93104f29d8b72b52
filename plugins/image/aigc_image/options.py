"""Options of the image datasets (``dataset.options.*``); free of torch."""

from typing import Literal

from pydantic import Field

from aigc_core import ConfigModel


class MnistOptions(ConfigModel):
    """MNIST, Fashion-MNIST and KMNIST."""

    size: int = Field(28, ge=8, le=512)
    """Side of the stored images in pixels: 28 is the original, others are resized bilinearly."""


class DigitsOptions(ConfigModel):
    """The digits inside scikit-learn."""

    size: int = Field(32, ge=8, le=512)
    """Side of the stored images in pixels: 8 is the original, others are resized bicubically."""


class CaptionedShapesOptions(ConfigModel):
    """Coloured shapes with captions."""

    size: int = Field(32, ge=16, le=256)
    """Side of the pictures in pixels."""
    count: int = Field(20_000, ge=16, le=1_000_000)
    """How many pictures are trained on; a tenth as many are held out."""


class ImageFolderOptions(ConfigModel):
    """A folder of images."""

    size: int = Field(32, ge=8, le=512)
    """Side of the stored images in pixels; the largest centred square is resized to it."""
    channels: Literal[1, 3] = 3
    """1 for grey, 3 for RGB; every image is converted."""
    colour_management: bool = True
    """Convert images in other colour spaces (phones' Display P3, cameras' Adobe RGB, CMYK) to sRGB;
    false keeps their numbers as they are."""
    flip: bool = False
    """Add each image mirrored left to right, doubling the data; not for letters or digits."""
    caption_bytes: int = Field(default=200, ge=8, le=4096)
    """Longest caption in bytes of UTF-8, where there are captions; longer ones are cut."""
    frames: Literal["first", "all"] = "first"
    """For files with several pages or frames: use the first, or each as an image of its own."""
