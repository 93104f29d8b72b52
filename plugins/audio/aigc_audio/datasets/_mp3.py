"""MP3 streams: where each begins and ends, and how many frames it really has.

An MP3 is a sequence of frames. Their number is stored, if at all, in a first frame that holds no
sound (Xing, Info); joined files have several of these, with tags in between. So frames are counted.
Frame headers: ISO/IEC 11172-3, 2.4.1.3; MPEG-2.5 is encoders' own extension of it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

_BITRATES = {  # kbit/s of layer III, by whether it is MPEG-1
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_FRAMES, _BYTES = 1, 2  # flags of a Xing header
_MIN_RUN = 3
"""Frames in a row that cannot be a coincidence."""


class Frame(NamedTuple):
    """One frame's header."""

    start: int
    size: int
    rate_hz: int
    channels: int
    tag: int
    """Offset of a Xing header from the frame's start, if there is one."""


class Stream(NamedTuple):
    """The frames of one original file."""

    data: bytes
    declared: int | None
    """Number of frames according to its header, if it says."""
    frames: int


def read_streams(content: bytes) -> tuple[list[Stream], bool]:
    """Return the streams in a file, and whether there is garbage after the first frame.

    Each stream gets a header that counts its frames, if one fits. Garbage is what is neither a
    frame nor a tag: bytes that are damaged or not MP3.
    """
    streams: list[list[Frame]] = []
    garbage = False
    end = 0
    for frame in _frames(content):
        garbage |= bool(streams) and frame.start > end and not _is_tag(content[end : frame.start])
        new = not streams or _is_header(content, frame)
        other = bool(streams) and _form(streams[-1][-1]) != _form(frame)
        if new or other:
            streams.append([])
        streams[-1].append(frame)
        end = frame.start + frame.size
    garbage |= bool(streams) and not _is_tag(content[end:])
    return [_stream(content, frames) for frames in streams], garbage


def _stream(content: bytes, frames: list[Frame]) -> Stream:
    first = frames[0]
    body = b"".join(content[f.start : f.start + f.size] for f in frames)
    if not _is_header(content, first):
        return Stream(
            _made_header(content, first, len(frames), len(body)) + body, None, len(frames)
        )
    head = bytearray(body[: first.size])
    count = len(frames) - 1
    (flags,) = struct.unpack_from(">I", head, first.tag + 4)
    declared = struct.unpack_from(">I", head, first.tag + 8)[0] if flags & _FRAMES else None
    if declared == count:
        return Stream(body, declared, count)
    if not flags & _FRAMES:  # there is no room for the count
        rest = body[first.size :]
        made = _made_header(content, frames[min(1, count)], count, len(rest))
        return Stream(made + rest, None, count)
    struct.pack_into(">I", head, first.tag + 8, count)
    if flags & _BYTES:
        struct.pack_into(">I", head, first.tag + 12, len(body))
    return Stream(bytes(head) + body[first.size :], declared, count)


def _made_header(content: bytes, like: Frame, count: int, size: int) -> bytes:
    """Return a silent frame that says how many follow; empty if that does not fit in it."""
    head = bytearray(like.size)
    head[:4] = content[like.start : like.start + 4]
    head[1] |= 1  # no checksum, so none has to be computed
    needed = like.tag + 16
    if len(head) < needed:
        return b""
    head[like.tag : needed] = b"Info" + struct.pack(
        ">III", _FRAMES | _BYTES, count, size + like.size
    )
    return bytes(head)


def _frames(content: bytes) -> Iterator[Frame]:
    """Yield all frames; after a gap, resume where several frames follow each other."""
    place = _after_tag(content, 0)
    while True:
        frame = _frame(content, place)
        if frame is not None:
            yield frame
            place = frame.start + frame.size
            continue
        after = _after_tag(content, place)
        if after > place:
            place = after
            continue
        found = _resynchronized(content, place + 1)
        if found is None:
            return
        place = found


def _resynchronized(content: bytes, place: int) -> int | None:
    while (place := content.find(b"\xff", place)) >= 0:
        at, run = place, 0
        while run < _MIN_RUN and (frame := _frame(content, at)) is not None:
            at, run = at + frame.size, run + 1
        if run == _MIN_RUN or (run and at == len(content)):
            return place
        place += 1
    return None


def _frame(content: bytes, place: int) -> Frame | None:
    """Return the layer III frame that begins at ``place``, or None if there is no whole one."""
    if place + 4 > len(content) or content[place] != 0xFF or content[place + 1] & 0xE0 != 0xE0:
        return None
    _, second, third, fourth = content[place : place + 4]
    version, layer = second >> 3 & 3, second >> 1 & 3
    bitrate, rate = third >> 4, third >> 2 & 3
    if version == 1 or layer != 1 or bitrate in (0, 15) or rate == 3:
        return None
    mpeg1 = version == 3
    rate_hz = _RATES_HZ[version][rate]
    size = (144 if mpeg1 else 72) * _BITRATES[mpeg1][bitrate] * 1000 // rate_hz + (third >> 1 & 1)
    if place + size > len(content):
        return None
    channels = 1 if fourth >> 6 == 3 else 2
    side = (17 if channels == 1 else 32) if mpeg1 else (9 if channels == 1 else 17)
    return Frame(place, size, rate_hz, channels, 4 + side)


def _form(frame: Frame) -> tuple[int, int]:
    return frame.rate_hz, frame.channels


def _is_header(content: bytes, frame: Frame) -> bool:
    mark = content[frame.start + frame.tag : frame.start + frame.tag + 4]
    return mark in (b"Xing", b"Info")


def _after_tag(content: bytes, place: int) -> int:
    """Return the position after the tag that begins at ``place``, or ``place`` if none does."""
    if content[place : place + 3] == b"ID3" and len(content) >= place + 10:
        sizes = content[place + 6 : place + 10]
        if all(byte < 128 for byte in sizes):
            size = sizes[0] << 21 | sizes[1] << 14 | sizes[2] << 7 | sizes[3]
            return place + 10 + size + (10 if content[place + 5] & 16 else 0)
    if content[place : place + 3] == b"TAG" and len(content) >= place + 128:
        return place + 128
    if content[place : place + 8] == b"APETAGEX" and len(content) >= place + 32:
        size, _, flags = struct.unpack_from("<III", content, place + 12)
        return place + 32 + (size if flags & 1 << 29 else 0)
    return place


def _is_tag(between: bytes) -> bool:
    """Whether the bytes between frames are only tags, padding or the start of a frame."""
    place = 0
    while place < len(between):
        after = _after_tag(between, place)
        if after == place:
            rest = between[place:]
            cut = len(rest) < 2048 and len(rest) >= 4 and rest[0] == 0xFF  # a frame that is cut off
            return not rest.strip(b"\0") or rest.startswith((b"LYRICS", b"APETAGEX")) or cut
        place = after
    return True
