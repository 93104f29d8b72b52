"""Where PNG and GIF keep notes, byte by byte; what is damaged raises no other error."""

import struct
import zlib

import pytest

from aigc_core.notes import GIF, PNG, Note

NOTE = Note('{"made_by": "AI", "prompt": "<&> \\u00e4"}', '{"Label":"1","ContentProducer":"A&B"}')


def png() -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0\x7f"))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def gif() -> bytes:
    screen = struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    picture = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF87a" + screen + picture + b";"


@pytest.mark.parametrize(("format", "data"), [(PNG, png()), (GIF, gif())])
def test_a_note_comes_back_and_leaves_the_rest_as_it_was(format, data) -> None:
    assert format.read(data) is None
    noted = format.write(data, NOTE)
    assert format.read(noted) == NOTE
    assert format.read(format.write(data, Note("{}"))) == Note("{}")
    assert len(noted) > len(data)
    assert data[8:20] in noted  # the header
    assert b"trainedAlgorithmicMedia" in noted


@pytest.mark.parametrize(("format", "data"), [(PNG, png()), (GIF, gif())])
def test_of_a_long_comment_nothing_is_lost(format, data) -> None:
    note = Note('{"prompt": "' + "x" * 70_000 + '"}')
    assert format.read(format.write(data, note)) == note


def test_every_chunk_of_a_png_has_its_checksum() -> None:
    data, at, kinds = PNG.write(png(), NOTE), 8, []
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        assert checksum == zlib.crc32(data[at + 4 : at + 8 + length])
        kinds.append(kind)
        at += 12 + length
    assert kinds == [b"IHDR", b"iTXt", b"iTXt", b"IDAT", b"IEND"]


@pytest.mark.parametrize(("format", "data"), [(PNG, png()), (GIF, gif())])
def test_a_file_that_is_cut_off_or_another_raises_nothing_but_a_value_error(format, data) -> None:
    noted = format.write(data, NOTE)
    for end in range(0, len(noted), 7):
        try:
            found = format.read(noted[:end])
        except ValueError:
            continue
        assert found is None or found.comment
    with pytest.raises(ValueError, match="it is no"):
        format.write(b"RIFF", NOTE)
