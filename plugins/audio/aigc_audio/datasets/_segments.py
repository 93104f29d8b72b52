"""Find the recordings in a sound file, one or several, each as a file with a correct header.

Headers can be wrong. Recorders that were cut off never write a length, streams are written before
theirs is known, files are joined by ``cat`` (valid for Ogg: RFC 3533, 4), and editors resize tags
that the length includes. libsndfile trusts headers, so they are compared with the content.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from aigc_audio.datasets._mp3 import read_streams
from aigc_audio.datasets._window import Window

JOINED, LENGTH, DAMAGED = "joined", "length", "damaged"
_SCAN_BYTES = 1 << 20
_FLAC_HEAD = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")
_UNKNOWN = (0, 0xFFFFFFFF)
_MAX_MP3_BYTES = 2 << 30
_MAX_COPIED_BYTES = 256 << 20


class Segment(NamedTuple):
    """One recording."""

    content: BinaryIO
    declared: int | None = None
    """Number of frames in its header, if only reading can show whether they are there."""


class Segments(NamedTuple):
    """The recordings of a file."""

    segments: list[Segment]
    remarks: tuple[str, ...] = ()


def segments_of(file: BinaryIO) -> Segments:
    """Return the recordings in a file, which must stay open while they are read."""
    file.seek(0)
    head = file.read(16)
    size = file.seek(0, os.SEEK_END)
    start = _after_id3(file, head)
    if start:
        file.seek(start)
        head = file.read(16)
    readers: dict[bytes, Callable[[BinaryIO, int, int], Segments]] = {
        b"OggS": _ogg, b"fLaC": _flac, b"RIFF": _chunks, b"RIFX": _chunks, b"FORM": _chunks,
        b"caff": _caf, b".snd": _au, b"dns.": _au, b"riff": _wave64, b"RF64": _rf64,
    }  # fmt: skip
    if head[:4] in readers:
        return readers[head[:4]](file, start, size)
    if (start or (head[:1] == b"\xff" and head[1] & 0xE6 == 0xE2)) and size <= _MAX_MP3_BYTES:
        return _mp3(file)
    return Segments([Segment(_window(file, 0, size))])


def _window(
    file: BinaryIO, start: int, end: int, patches: dict[int, bytes] | None = None
) -> BinaryIO:
    return io.BufferedReader(Window(file, start, end, patches), 1 << 16)


def _after_id3(file: BinaryIO, head: bytes) -> int:
    if head[:3] != b"ID3" or len(head) < 10 or any(byte > 127 for byte in head[6:10]):
        return 0
    a, b, c, d = head[6:10]
    return 10 + (a << 21 | b << 14 | c << 7 | d)


def _mp3(file: BinaryIO) -> Segments:
    file.seek(0)
    streams, garbage = read_streams(file.read())
    if not streams:
        size = file.seek(0, os.SEEK_END)
        return Segments([Segment(_window(file, 0, size))])
    remarks = [DAMAGED] if garbage else []
    if len(streams) > 1:
        remarks.append(JOINED)
    if any(stream.declared not in (None, stream.frames) for stream in streams):
        remarks.append(LENGTH)
    sound = [stream for stream in streams if stream.frames]
    return Segments([Segment(io.BytesIO(stream.data)) for stream in sound], tuple(remarks))


def _ogg(file: BinaryIO, start: int, size: int) -> Segments:
    """Split at pages that begin a stream after a page of data; keep a cut page's whole packets."""
    starts, place, carried, tail = [], start, True, b""
    while place + 27 <= size:
        file.seek(place)
        head = file.read(27)
        if head[:4] != b"OggS":
            found = _find(file, b"OggS", place + 1, size)
            if found is None:
                break
            place = found
            continue
        table = file.read(head[26])
        after = place + 27 + len(table) + sum(table)
        if len(table) < head[26] or after > size:
            tail = _whole_packets(head, table, file.read())
            break
        begins = bool(head[5] & 2)
        if begins and carried:
            starts.append(place)
        carried = not begins
        place = after
    if not starts:
        return Segments([Segment(_window(file, start, size))])
    ends = [*starts[1:], place]
    remarks = ([JOINED] if len(starts) > 1 else []) + ([DAMAGED] if place < size else [])
    parts = [Segment(_window(file, a, b)) for a, b in zip(starts, ends, strict=True)]
    if tail and place - starts[-1] <= _MAX_COPIED_BYTES:
        file.seek(starts[-1])
        parts[-1] = Segment(io.BytesIO(file.read(place - starts[-1]) + tail))
    return Segments(parts, tuple(remarks))


def _whole_packets(head: bytes, table: bytes, body: bytes) -> bytes:
    """Return a cut-off Ogg page with only its whole packets (RFC 3533, 6); empty without any."""
    count, size = 0, 0
    for number, length in enumerate(table, 1):
        size += length
        if size > len(body):
            break
        if length < 255:
            count = number
    if not count:
        return b""
    page = bytearray(head[:22] + bytes(4) + bytes([count]) + table[:count])
    page += body[: sum(table[:count])]
    page[22:26] = struct.pack("<I", _ogg_checksum(page))
    return bytes(page)


def _ogg_checksum(page: bytes | bytearray) -> int:
    """Return the CRC-32 (0x04c11db7, unreflected) of a page whose checksum field is zero."""
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFFFFFF) ^ _OGG_TABLE[value >> 24 ^ byte]
    return value


def _ogg_entry(index: int) -> int:
    value = index << 24
    for _ in range(8):
        value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
    return value


_OGG_TABLE = [_ogg_entry(index) for index in range(256)]


def _flac(file: BinaryIO, start: int, size: int) -> Segments:
    """Split at headers, and set each stream's length to unknown, so that it is read to its end."""
    starts = [start]
    for head in _FLAC_HEAD:
        starts += _find_all(file, head, start + 4, size)
    starts.sort()
    parts = []
    for a, b in zip(starts, [*starts[1:], size], strict=True):
        file.seek(a)
        head = file.read(26)
        if head[:8] not in _FLAC_HEAD:  # no STREAMINFO first: leave the error to libsndfile
            parts.append(Segment(_window(file, a, b)))
            continue
        declared = (head[21] & 15) << 32 | int.from_bytes(head[22:26])
        patch = {21: bytes([head[21] & 0xF0]) + bytes(4)}
        parts.append(Segment(_window(file, a, b, patch), declared or None))
    return Segments(parts, (JOINED,) if len(parts) > 1 else ())


def _chunks(file: BinaryIO, start: int, size: int) -> Segments:
    """Split joined RIFF and AIFF files by walking their chunks, and correct their lengths."""
    parts, remarks, place = [], [], start
    while place + 12 <= size:
        file.seek(place)
        head = file.read(12)
        if head[:4] not in (b"RIFF", b"RIFX", b"FORM"):
            break
        order = "<" if head[:4] == b"RIFF" else ">"
        wanted = b"SSND" if head[:4] == b"FORM" else b"data"
        end, patches, odd = _walk(file, place, size, order, wanted)
        if patches:
            patches[4] = struct.pack(order + "I", min(end - place - 8, 0xFFFFFFFF))
        remarks += [LENGTH] if odd else []
        parts.append(Segment(_window(file, place, end, patches)))
        place = end
    if len(parts) > 1:
        remarks.append(JOINED)
    return Segments(parts or [Segment(_window(file, start, size))], tuple(dict.fromkeys(remarks)))


def _walk(
    file: BinaryIO, start: int, size: int, order: str, wanted: bytes
) -> tuple[int, dict[int, bytes], bool]:
    """Return where a file of chunks ends, the patches it needs, and if its length was wrong."""
    place = start + 12
    while place + 8 <= size:
        file.seek(place)
        name, length = struct.unpack(order + "4sI", file.read(8))
        if place > start + 12 and name in (b"RIFF", b"RIFX", b"FORM"):
            return place, {}, False
        if name == wanted:
            return _sound_chunk(file, start, place, length, size, order)
        if place + 8 + length > size:
            break
        place += 8 + length + length % 2
    return size, {}, False


def _sound_chunk(
    file: BinaryIO, start: int, place: int, length: int, size: int, order: str
) -> tuple[int, dict[int, bytes], bool]:
    body = place + 8
    end = body + length
    if length not in _UNKNOWN and end <= size:
        after = end + length % 2
        for candidate in (after, end):
            last = _chain_end(file, candidate, size, order)
            if last is not None:
                return last, {}, False
    elif length not in _UNKNOWN and end == size + 1 and length % 2 == 0:
        pass  # one byte is missing: cut off like others
    following = _next_file(file, body, size)
    there = min(following - body, 0xFFFFFFFE)
    return following, {place - start + 4: struct.pack(order + "I", there)}, True


def _chain_end(file: BinaryIO, place: int, size: int, order: str) -> int | None:
    """Return where further chunks end, if at the file's end or another header; else None."""
    while place + 8 <= size:
        file.seek(place)
        name, length = struct.unpack(order + "4sI", file.read(8))
        if name in (b"RIFF", b"RIFX", b"FORM"):
            return place
        if not all(32 <= byte < 127 for byte in name) or place + 8 + length > size + 1:
            break
        place += 8 + length + length % 2
    if place >= size:
        return size
    file.seek(place)
    rest = file.read(1 << 16)
    short = size - place <= len(rest)
    return size if short and (len(rest) < 8 or not rest.strip(b"\0")) else None


def _next_file(file: BinaryIO, place: int, size: int) -> int:
    """Return where another RIFF WAVE file begins, or ``size`` if none does."""
    for found in _find_all(file, b"RIFF", place, size):
        file.seek(found + 8)
        if file.read(8) == b"WAVEfmt ":
            return found
    return size


def _caf(file: BinaryIO, start: int, size: int) -> Segments:
    """Split where chunks end at another header, and correct the length of sound that is cut off.

    Core Audio Format, Apple, "CAF File Structure".
    """
    parts, remarks, place = [], [], start
    while place < size:
        begin, patch = place, {}
        place += 8
        while place + 12 <= size:
            file.seek(place)
            name, length = struct.unpack(">4sq", file.read(12))
            if name[:4] == b"caff":
                break
            if name == b"data" and (length < 0 or place + 12 + length > size):
                patch = {place - begin + 4: struct.pack(">q", size - place - 12)}
                remarks += [LENGTH] if length >= 0 else []
                length = size - place - 12
            elif length < 0:
                length = size - place - 12
            place += 12 + length
        else:
            place = size
        parts.append(Segment(_window(file, begin, place, patch)))
    return Segments(parts, tuple(remarks) + ((JOINED,) if len(parts) > 1 else ()))


def _au(file: BinaryIO, start: int, size: int) -> Segments:
    """Split AU files (Sun), and correct a length that is unknown or wrong."""
    parts, remarks, place = [], [], start
    while place + 24 <= size:
        file.seek(place)
        head = file.read(24)
        if not _is_au(head):
            break
        order = ">" if head[:4] == b".snd" else "<"
        offset, length = struct.unpack(order + "II", head[4:12])
        end = place + offset + length
        file.seek(min(end, size))
        if length in _UNKNOWN or end > size or (end < size and not _is_au(file.read(24))):
            remarks += [LENGTH] if length not in _UNKNOWN else []
            end = _next_au(file, place + offset, size)
        there = min(end - place - offset, 0xFFFFFFFE)
        patch = {8: struct.pack(order + "I", there)}
        parts.append(Segment(_window(file, place, end, patch)))
        place = end
    if len(parts) > 1:
        remarks.append(JOINED)
    return Segments(parts or [Segment(_window(file, start, size))], tuple(dict.fromkeys(remarks)))


def _is_au(head: bytes) -> bool:
    if len(head) < 24 or head[:4] not in (b".snd", b"dns."):
        return False
    order = ">" if head[:4] == b".snd" else "<"
    offset, _, encoding, rate, channels = struct.unpack(order + "5I", head[4:24])
    plausible = 24 <= offset <= 1 << 20 and 1 <= encoding <= 27
    return bool(plausible and rate > 0 and 1 <= channels <= 1024)


def _next_au(file: BinaryIO, place: int, size: int) -> int:
    for mark in (b".snd", b"dns."):
        for found in _find_all(file, mark, place, size):
            file.seek(found)
            if _is_au(file.read(24)):
                return found
    return size


def _wave64(file: BinaryIO, start: int, size: int) -> Segments:
    """Split Sony Wave64 files, whose header states the size of the whole file, itself included."""
    return _split_by_length(file, start, size, lambda head: struct.unpack("<Q", head[16:24])[0])


def _rf64(file: BinaryIO, start: int, size: int) -> Segments:
    """Split RF64 files, whose stated size leaves out the first eight bytes (EBU Tech 3306)."""

    def length(head: bytes) -> int:
        return 8 + int(struct.unpack("<Q", head[20:28])[0]) if head[12:16] == b"ds64" else 0

    return _split_by_length(file, start, size, length)


def _split_by_length(
    file: BinaryIO, start: int, size: int, length_of: Callable[[bytes], int]
) -> Segments:
    file.seek(start)
    mark = file.read(4)
    starts = [start]
    while True:
        file.seek(starts[-1])
        length = length_of(file.read(32).ljust(32, b"\0"))
        after = starts[-1] + length
        file.seek(min(after, size))
        if length < 32 or after >= size or file.read(4) != mark:
            break
        starts.append(after)
    ends = [*starts[1:], size]
    parts = [Segment(_window(file, a, b)) for a, b in zip(starts, ends, strict=True)]
    return Segments(parts, (JOINED,) if len(parts) > 1 else ())


def _find_all(file: BinaryIO, mark: bytes, place: int, size: int) -> Iterator[int]:
    found = _find(file, mark, place, size)
    while found is not None:
        yield found
        found = _find(file, mark, found + len(mark), size)


def _find(file: BinaryIO, mark: bytes, place: int, size: int) -> int | None:
    """Return the first position of ``mark`` at or after ``place``, or None."""
    while place < size:
        file.seek(place)
        block = file.read(_SCAN_BYTES + len(mark) - 1)
        found = block.find(mark)
        if found >= 0:
            return place + found
        place += _SCAN_BYTES
    return None
