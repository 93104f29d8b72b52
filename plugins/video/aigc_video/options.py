"""Options of the video datasets (``dataset.options.*``); free of torch."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from aigc_core import ConfigModel

MAX_RATE_HZ = 1000.0
FrameRate = Annotated[float, Field(ge=0.1, le=MAX_RATE_HZ)]


class MovingDigitsOptions(ConfigModel):
    """One digit in each clip, which moves at a constant speed and bounces off the edges."""

    source: Literal["digits", "mnist"] = "digits"
    """Whose pictures: those inside scikit-learn, or MNIST, from --data-root or downloaded."""
    frames: int = Field(default=16, ge=2, le=256)
    """Length of a clip in frames."""
    frame_rate_hz: FrameRate = 8.0
    """Frames a second."""
    size: int = Field(default=32, ge=16, le=256)
    """Side of the frames in pixels."""
    digit: int = Field(default=16, ge=8, le=128)
    """Side of the picture that moves inside the frame, in pixels; less than size."""
    speed: float = Field(default=2.0, ge=0.1, le=64)
    """Largest speed along each side, in pixels a frame; the smallest is a quarter of it."""
    count: int = Field(default=6000, ge=10, le=1_000_000)
    """How many clips are trained on; a sixth as many are held out, of pictures of their own."""

    @model_validator(mode="after")
    def _there_is_room(self) -> "MovingDigitsOptions":
        if self.digit >= self.size:
            raise ValueError(f"digit={self.digit} leaves no room to move in size={self.size}")
        return self


class VideoFolderOptions(ConfigModel):
    """A folder of videos."""

    frames: int = Field(default=16, ge=2, le=1024)
    """Length of a clip in frames."""
    frame_rate_hz: FrameRate = 8.0
    """Frames a second; every video is resampled in time."""
    size: int = Field(default=32, ge=8, le=512)
    """Side of the frames in pixels; the largest centred square is resized to it."""
    channels: Literal[1, 3] = 3
    """1 for grey, 3 for RGB; every video is converted."""
    clips: Literal["all", "first"] = "all"
    """Cut each video into as many clips as it has, or use only its beginning."""
