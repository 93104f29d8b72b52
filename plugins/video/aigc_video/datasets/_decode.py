"""Decode a video file to clips, whatever its container, size, rate, length or orientation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from aigc_core import SampleSpec
from aigc_core.datasets import DecodedFile, UnreadableError
from aigc_core.errors import reason

SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".gif", ".mpg", ".mpeg",
    ".vob", ".ts", ".mts", ".m2ts", ".flv", ".f4v", ".wmv", ".asf", ".ogv", ".ogg", ".mxf", ".y4m",
)  # fmt: skip
HINTS = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".bmp"), "pictures: see image-folder"),
    **dict.fromkeys((".wav", ".mp3", ".flac", ".m4a"), "sound alone: see audio-folder"),
    **dict.fromkeys(
        (".h264", ".264", ".h265", ".hevc", ".yuv"),
        "no times in it: put it into an MP4, as with ffmpeg -i FILE -c copy FILE.mp4",
    ),
    **dict.fromkeys((".m3u8", ".mpd"), "a list of files: give the video itself"),
}
_CONTAINERS = "mov,matroska,avi,gif,mpeg,mpegts,flv,asf,ogg,mxf,yuv4mpegpipe"
"""Those tried, whatever the suffix says; none is a list that names other files or addresses."""
_MAX_PIXELS = 1 << 26
_MOMENT = 0.45
"""When in the time of a wanted frame the one that is shown is taken: not at the start, where times
that were rounded, as in a GIF, skip or repeat frames; nor in the middle, where the next frame
begins if there are twice as many."""
_LONGEST_STILL_S = 3600.0
"""A frame that is shown for longer is taken for a wrong time."""
_HDR_CURVES = (16, 18)
"""PQ and HLG, as numbered in ITU-T H.273."""
_TURNS = {
    1: Image.Transpose.ROTATE_90,
    2: Image.Transpose.ROTATE_180,
    3: Image.Transpose.ROTATE_270,
}
"""By quarters, counterclockwise."""

SHORT, REST, INTERLACED, HDR, EARLY = "short", "rest", "interlaced", "hdr", "early"
REMARKS = {
    SHORT: "{count:,} of {total:,} videos are shorter than a clip; their last frame is held to its "
    "end: {files}. Set dataset.options.frames or frame_rate_hz for shorter clips.",
    REST: "{count:,} of {total:,} videos go on after their last clip; that rest is left out: "
    "{files}.",
    INTERLACED: "{count:,} of {total:,} videos are interlaced; moving edges look like combs: "
    "{files}. Deinterlace them before training.",
    HDR: "{count:,} of {total:,} videos are HDR, which is not converted: {files}. Convert them to "
    "BT.709 before training.",
    EARLY: "{count:,} of {total:,} videos end earlier than their header says; what is there is "
    "used: {files}.",
}


class Wanted(NamedTuple):
    """What every clip becomes."""

    frames: int
    frame_rate_hz: float
    channels: int
    height: int
    width: int

    @classmethod
    def of(cls, spec: SampleSpec) -> Wanted:
        """Return what a spec says."""
        frames, channels, height, width = spec.shape
        return cls(frames, spec.units["frame_rate_hz"], channels, height, width)


class Facts(NamedTuple):
    """What a video is, by its header and its first frame."""

    width: int
    height: int
    """Of its frames as they are shown: upright, with square pixels."""
    frame_rate_hz: float | None


class Shown(NamedTuple):
    """A frame, and when it appears, in seconds."""

    time_s: float
    frame: VideoFrame


class Video:
    """The first video stream of an opened container."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container, self._stream = container, stream
        self._aspect = float(stream.sample_aspect_ratio or 1) or 1.0
        rate = stream.average_rate or stream.guessed_rate
        self.frame_rate_hz = float(rate) if rate else None
        self.count = 0
        """Frames that were decoded."""
        self.end_s = 0.0
        """When the last of them disappears."""
        self._start_s = 0.0
        self.remarks: list[str] = []

    @property
    def ends_early(self) -> bool:
        """Whether the frames ended long before what the header says, if it says something."""
        said_s = (self._container.duration or 0) / av.time_base
        return self.count < 0.9 * self._stream.frames or self.end_s - self._start_s < 0.9 * said_s

    def aspect_of(self, frame: VideoFrame) -> float:
        """Return the width of an upright frame's pixels by their height."""
        return 1 / self._aspect if round(frame.rotation / 90) % 2 else self._aspect

    def frames(self) -> Iterator[Shown]:
        """Yield the frames in the order in which they are shown.

        Raises:
            UnreadableError: they are damaged, or change their size.
        """
        size, last, step_s = None, None, 1 / (self.frame_rate_hz or 25.0)
        try:
            for frame in self._container.decode(self._stream):
                if frame.is_corrupt:
                    raise UnreadableError(f"damaged after {self.count} frames")
                now = (frame.width, frame.height)
                if size is not None and now != size:
                    raise UnreadableError(
                        f"its frames change from {size[0]}x{size[1]} to {now[0]}x{now[1]} pixels "
                        f"at frame {self.count}"
                    )
                time_s: float | None = frame.time  # PyAV's types forget None
                if time_s is None:
                    time_s = 0.0 if last is None else last + step_s
                if last is None:
                    self._start_s = time_s
                else:
                    time_s = max(time_s, last)
                    if time_s - last > _LONGEST_STILL_S:
                        raise UnreadableError(
                            f"its time jumps by {time_s - last:,.0f} s at frame {self.count}"
                        )
                    step_s = time_s - last or step_s
                self._remark(frame)
                size, last = now, time_s
                self.count += 1
                lasts = float(frame.duration * (frame.time_base or 0))
                self.end_s = time_s + (lasts if 0 < lasts <= _LONGEST_STILL_S else step_s)
                yield Shown(time_s, frame)
        except av.FFmpegError as error:
            raise UnreadableError(f"damaged after {self.count} frames") from error

    def _remark(self, frame: VideoFrame) -> None:
        if frame.interlaced_frame and INTERLACED not in self.remarks:
            self.remarks.append(INTERLACED)
        if frame.color_trc in _HDR_CURVES and HDR not in self.remarks:
            self.remarks.append(HDR)


@contextmanager
def opened_video(path: Path) -> Iterator[Video]:
    """Open a file.

    Raises:
        UnreadableError: it is no video, or has more pixels than is reasonable.
    """
    try:
        with path.open("rb") as file, _container(file) as container:
            pictures = Disposition.attached_pic  # such as the cover of a song
            streams = [s for s in container.streams.video if not s.disposition & pictures]
            if not streams:
                sound = "sound alone" if container.streams.audio else "no video"
                raise UnreadableError(f"{sound} in it")
            stream = streams[0]
            context = stream.codec_context
            if context is None:
                raise UnreadableError("a codec that this FFmpeg does not have")
            if context.width * context.height > _MAX_PIXELS:
                raise UnreadableError(f"too many pixels: {context.width}x{context.height}")
            context.thread_count = 1  # files are read side by side
            yield Video(container, stream)
    except OSError as error:
        raise UnreadableError(reason(error)) from error


def _container(file: BinaryIO) -> InputContainer:
    try:
        return av.open(file, "r", options={"format_whitelist": _CONTAINERS})
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UnreadableError("not a video, in a container that is not read, or damaged") from error


def ticks(frames: Iterable[Shown], rate_hz: float, end_s: Callable[[], float]) -> Iterator[Shown]:
    """Yield the frame that is shown near the middle of each ``1 / rate_hz`` seconds.

    Args:
        frames: in order; the first one's time is where counting begins.
        rate_hz: how many a second.
        end_s: says, after the last frame, when that disappears.
    """
    start_s, before, number = 0.0, None, 0

    def moment_s() -> float:
        return start_s + (number + _MOMENT) / rate_hz

    for shown in frames:
        if before is None:
            start_s = shown.time_s
        while before is not None and moment_s() < shown.time_s:
            yield before
            number += 1
        before = shown
    while before is not None and moment_s() < end_s():
        yield before
        number += 1


def decode(path: Path, wanted: Wanted, *, all_clips: bool) -> DecodedFile:
    """Read a video file as uint8 ``(P, T, C, H, W)``.

    Frames are turned upright, made 8-bit RGB or grey, put on black where they are transparent,
    cropped to the largest centred part of the wanted shape and resized; in time, the frame that is
    shown is taken. P is 1, or as many clips as there are: what is left over after them is left out,
    and the last frame of a shorter video is held.

    Raises:
        UnreadableError: it is no video, holds less than two frames, or is damaged.
    """
    found: list[NDArray[np.uint8]] = []
    with opened_video(path) as video:
        last: Shown | None = None
        is_cut = False
        for shown in ticks(video.frames(), wanted.frame_rate_hz, lambda: video.end_s):
            if not all_clips and len(found) == wanted.frames:
                is_cut = True
                break
            if shown is not last:
                pixels = fitted(upright(shown.frame), video.aspect_of(shown.frame), wanted)
                last = shown
            found.append(pixels)
        remarks = video.remarks
        if video.count < 2:
            what = "a single frame, which is a picture" if video.count else "no frames"
            raise UnreadableError(f"{what} in it")
        if not is_cut and video.ends_early:
            remarks.append(EARLY)
    if len(found) < wanted.frames:
        remarks.append(SHORT)
        found += [found[-1]] * (wanted.frames - len(found))
    clips = len(found) // wanted.frames
    if is_cut or len(found) % wanted.frames:
        remarks.append(REST)
    whole = np.stack(found[: clips * wanted.frames])  # (P T, C, H, W)
    return DecodedFile(whole.reshape(clips, wanted.frames, *whole.shape[1:]), tuple(remarks))


def facts_of(path: Path) -> Facts:
    """Return what a video is.

    Raises:
        UnreadableError: it is no video, or its first frame is damaged.
    """
    with opened_video(path) as video:
        for shown in video.frames():
            image, aspect = upright(shown.frame), video.aspect_of(shown.frame)
            return Facts(round(image.width * aspect), image.height, video.frame_rate_hz)
    raise UnreadableError("no frames in it")


def upright(frame: VideoFrame) -> Image.Image:
    """Return a frame as an RGB picture, turned as its container says, on black."""
    has_alpha = any(part.is_alpha for part in frame.format.components)
    pixels = frame.to_ndarray(format="rgba" if has_alpha else "rgb24")  # (h, w, 4 or 3)
    image = Image.fromarray(pixels)
    if has_alpha:
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
        image = image.convert("RGB")
    quarters = round(frame.rotation / 90) % 4
    return image.transpose(_TURNS[quarters]) if quarters else image


def fitted(image: Image.Image, aspect: float, wanted: Wanted) -> NDArray[np.uint8]:
    """Return a picture as uint8 ``(C, H, W)``: its largest centred part of that shape, resized.

    Args:
        image: RGB.
        aspect: width of one of its pixels by its height.
        wanted: the shape.
    """
    shape = wanted.width / wanted.height / aspect  # of the part, in pixels
    width = min(float(image.width), image.height * shape)
    height = width / shape
    left, top = (image.width - width) / 2, (image.height - height) / 2
    if wanted.channels == 1:
        image = image.convert("L")
    small = image.resize(
        (wanted.width, wanted.height),
        Image.Resampling.LANCZOS,
        box=(left, top, left + width, top + height),
        reducing_gap=3.0,
    )
    pixels = np.asarray(small).reshape(wanted.height, wanted.width, wanted.channels)
    return pixels.transpose(2, 0, 1)
