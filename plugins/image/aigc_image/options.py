"""Options of the image datasets (``dataset.options.*``); free of torch."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

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
    bits: Literal[8, 16] = 8
    """Of a stored level. 16, which needs channels=1, keeps the levels of deep grey PNG and TIFF,
    such as scans and measurements; levels of 8 bits are multiplied by 257."""
    colour_management: bool = True
    """Convert images in other colour spaces (phones' Display P3, cameras' Adobe RGB, CMYK) to sRGB;
    false keeps their numbers as they are."""
    flip: bool = False
    """Add each image mirrored left to right, doubling the data; not for letters or digits."""
    caption_bytes: int = Field(default=200, ge=8, le=4096)
    """Longest caption in bytes of UTF-8, where there are captions; longer ones are cut."""
    frames: Literal["first", "all"] = "first"
    """For files with several pages or frames: use the first, or each as an image of its own."""

    @field_validator("bits", mode="before")
    @classmethod
    def _nearest_bits(cls, value: Any) -> Any:
        if isinstance(value, int | float) and value not in (8, 16):
            raise ValueError(f"it should be 8 or 16; the nearest is {8 if value <= 8 else 16}")
        return value

    @model_validator(mode="after")
    def _deep_is_grey(self) -> Self:
        if self.bits == 16 and self.channels != 1:
            raise ValueError(
                "bits=16 is for grey pictures, since colours are read with 8 bits: set channels=1 "
                "too, or leave bits=8"
            )
        return self
