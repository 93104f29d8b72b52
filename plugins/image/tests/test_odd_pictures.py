"""Pictures of other depths, senses and colours than 8-bit sRGB become what a viewer shows."""

import base64
import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from aigc_core import DataError, DataFolders
from aigc_core.datasets import UnreadableError
from aigc_image.datasets._decode import decode
from aigc_image.datasets.folder import ImageFolder
from aigc_image.options import ImageFolderOptions

RAMP = np.linspace(0, 1, 8)
LEVELS = [0, 36, 73, 109, 146, 182, 219, 255]


@pytest.fixture
def read(tmp_path):
    """Write one file and load it: ``(samples uint8 (N, C, 8, 8), notes)``."""

    def call(name: str, content: bytes, **options):
        root = tmp_path / "pictures"
        root.mkdir(exist_ok=True)
        for old in root.iterdir():
            old.unlink()
        (root / name).write_bytes(content)
        settings = {"size": 8, "channels": 1} | options
        folders = DataFolders(root=root, cache=tmp_path / "cache")
        dataset = ImageFolder(ImageFolderOptions(**settings), folders)
        dataset.prepare()
        store = dataset.load("train")
        return store.arrays["samples"], store.notes

    return call


def row(samples) -> list[int]:
    return samples[0, 0, 4].tolist()


def tiff(
    bits: int, row: bytes, *, photometric: int = 1, sample_format: int = 1, order="<"
) -> bytes:
    """An uncompressed grey TIFF of 8 x 8 by hand."""
    data = row * 8
    count = 10
    entries = [(256, 4, 8), (257, 4, 8), (258, 3, bits), (259, 3, 1), (262, 3, photometric),
               (273, 4, 14 + 12 * count), (277, 3, 1), (278, 4, 8), (279, 4, len(data)),
               (339, 3, sample_format)]  # fmt: skip
    out = struct.pack(order + "2sHIH", b"II" if order == "<" else b"MM", 42, 8, count)
    for tag, kind, value in entries:
        packed = struct.pack(
            order + ("HH" if kind == 3 else "I"),
            *([value, 0][: 3 - kind // 2 + 0] if kind == 3 else [value]),
        )
        out += struct.pack(order + "HHI", tag, kind, 1) + packed
    return out + bytes(4) + data


def packed(bits: int) -> bytes:
    values = np.rint(RAMP * (2**bits - 1)).astype(int)
    text = "".join(f"{value:0{bits}b}" for value in values)
    return int(text, 2).to_bytes(len(text) // 8)


def numbers(dtype: str) -> bytes:
    largest = np.iinfo(dtype).max
    return np.rint(RAMP * largest).clip(0, largest).astype(dtype).tobytes()


DEPTHS = {
    "8 bits": tiff(8, numbers("<u1")),
    "8 bits, white is zero": tiff(8, numbers("<u1")[::-1], photometric=0),
    "12 bits": tiff(12, packed(12)),
    "16 bits": tiff(16, numbers("<u2")),
    "16 bits, big endian": tiff(16, numbers(">u2"), order=">"),
    "16 bits, white is zero": tiff(16, numbers(">u2")[::-1], photometric=0),
    "8 bits, signed": tiff(8, numbers("<i1"), sample_format=2),
    "16 bits, signed": tiff(16, numbers("<i2"), sample_format=2),
    "16 bits, signed, big endian": tiff(16, numbers(">i2"), sample_format=2, order=">"),
    "32 bits, signed": tiff(32, numbers("<i4"), sample_format=2),
    "32 bits, unsigned": tiff(32, numbers("<u4")),
}


@pytest.mark.parametrize("name", DEPTHS)
def test_a_grey_tiff_is_scaled_by_its_own_depth_and_sense(read, name) -> None:
    samples, notes = read("a.tif", DEPTHS[name])
    levels = np.array(row(samples))
    assert np.abs(levels - LEVELS).max() <= (1 if name == "8 bits, signed" else 0)  # of 127
    assert notes == ()


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("photometric", [0, 1])
def test_few_bits_reach_from_black_to_white(read, bits, photometric) -> None:
    samples, _ = read("a.tif", tiff(bits, packed(bits), photometric=photometric))
    steps = np.rint(np.rint(RAMP * (2**bits - 1)) * 255 / (2**bits - 1)).astype(int)
    assert row(samples) == (steps if photometric else 255 - steps).tolist()


@pytest.mark.parametrize(
    "content",
    [
        tiff(16, np.linspace(-9, 9, 8).astype("<i2").tobytes(), sample_format=2),
        tiff(32, np.linspace(-9, 9, 8).astype("<i4").tobytes(), sample_format=2),
        tiff(8, np.linspace(-9, 9, 8).astype("<i1").tobytes(), sample_format=2),
        tiff(32, RAMP.astype("<f4").tobytes(), sample_format=3),
    ],
)
def test_pixels_without_a_known_black_or_white_are_refused_by_name(read, content) -> None:
    with pytest.raises(DataError, match=r"a\.tif \((signed pixels below zero|floating-point)"):
        read("a.tif", content)


def test_a_picture_that_its_depth_makes_black_is_said(read) -> None:
    content = tiff(32, (RAMP * 65535).astype("<u4").tobytes())
    _, notes = read("a.tif", content)
    assert "less than 1/256 of the range of their depth: a.tif" in notes[0]


@pytest.mark.parametrize("largest", [1, 15, 100, 255, 1023, 4095, 65535])
def test_a_portable_map_is_scaled_by_its_largest_value(read, largest) -> None:
    values = np.rint(RAMP * largest)
    pixels = np.tile(values, 8).astype(">u2" if largest > 255 else "u1").tobytes()
    samples, _ = read("a.pgm", b"P5\n8 8\n%d\n" % largest + pixels)
    assert np.abs(np.array(row(samples)) - values * 255 / largest).max() <= 1


def png(bits: int, colour: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", 8, 8, bits, colour, 0, 0, 0)
    middle = b"".join(chunk(*pair) for pair in chunks)
    body = chunk(b"IDAT", zlib.compress((b"\0" + rows) * 8))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + middle + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_a_png_becomes_black_at_every_depth(read, bits) -> None:
    white = 2**bits - 1
    rows = numbers(">u2") if bits == 16 else packed(bits)
    samples, _ = read("a.png", png(bits, 0, rows, (b"tRNS", struct.pack(">H", white))))
    values = np.rint(RAMP * white)
    expected = np.where(values == white, 0, np.rint(values * 255 / white))
    assert row(samples) == expected.tolist()


@pytest.mark.parametrize("bits", [8, 16])
def test_the_transparent_colour_of_a_png_becomes_black_at_every_depth(read, bits) -> None:
    white = 2**bits - 1
    rows = np.repeat(np.rint(RAMP * white), 3).astype(">u2" if bits == 16 else "u1").tobytes()
    key = struct.pack(">HHH", white, white, white)
    samples, _ = read("a.png", png(bits, 2, rows, (b"tRNS", key)), channels=3)
    assert abs(row(samples)[-2] - 219) <= 1
    assert row(samples)[-1] == 0


# --- colours: what is expected is computed here, by the definitions of the spaces


def decode_srgb(v: np.ndarray) -> np.ndarray:
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def encode_srgb(v: np.ndarray) -> np.ndarray:
    v = np.clip(v, 0, 1)
    return np.where(v <= 0.0031308, v * 12.92, 1.055 * v ** (1 / 2.4) - 0.055)


def to_xyz(primaries: list[tuple[float, float]]) -> np.ndarray:
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    x, y = 0.3127, 0.3290
    return columns * np.linalg.solve(columns, [x / y, 1, (1 - x - y) / y])


SRGB = to_xyz([(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)])
P3 = to_xyz([(0.68, 0.32), (0.265, 0.69), (0.15, 0.06)])
ADOBE = to_xyz([(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)])
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def profile(to_xyz_d65: np.ndarray, gamma: float | None) -> bytes:
    """A version 2 ICC profile of a matrix and a curve; None for sRGB's."""
    d65, d50 = np.array([0.9505, 1, 1.0891]), np.array([0.9642, 1, 0.8249])
    scale = np.diag((BRADFORD @ d50) / (BRADFORD @ d65))
    matrix = np.linalg.inv(BRADFORD) @ scale @ BRADFORD @ to_xyz_d65

    def xyz(values) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    if gamma is None:
        table = np.rint(decode_srgb(np.linspace(0, 1, 1024)) * 65535).astype(">u2").tobytes()
        curve = b"curv\0\0\0\0" + struct.pack(">I", 1024) + table
    else:
        curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    name = b"test"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + bytes(79),
        b"cprt": b"text\0\0\0\0none\0", b"wtpt": xyz(d50),
        b"rXYZ": xyz(matrix[:, 0]), b"gXYZ": xyz(matrix[:, 1]), b"bXYZ": xyz(matrix[:, 2]),
        b"rTRC": curve, b"gTRC": curve, b"bTRC": curve,
    }  # fmt: skip
    table, data, offset = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for key, value in tags.items():
        value += bytes(-len(value) % 4)
        table += key + struct.pack(">II", offset + len(data), len(value))
        data += value
    head = struct.pack(
        ">I4sI4s4s4s", offset + len(data), b"\0" * 4, 0x02400000, b"mntr", b"RGB ", b"XYZ "
    )
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + xyz(d50)[8:]
    return head.ljust(128, b"\0") + table + data


SPACES = {"display-p3": (P3, None), "adobe-rgb": (ADOBE, 563 / 256), "linear": (SRGB, 1.0)}
COLOURS = [(60, 180, 75), (128, 128, 128), (200, 30, 40), (0, 0, 0), (255, 255, 255)]


def stored(colour: tuple[int, int, int], space: str) -> np.ndarray:
    """How a colour of sRGB is stored in another space, 0 to 1."""
    matrix, gamma = SPACES[space]
    light = np.linalg.solve(matrix, SRGB @ decode_srgb(np.array(colour) / 255)).clip(0, 1)
    return encode_srgb(light) if gamma is None else light ** (1 / gamma)


def saved(pixel: np.ndarray, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image = Image.new("RGB", (16, 16), tuple(round(float(v) * 255) for v in pixel))
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("JPEG", {"quality": 100}), ("TIFF", {}), ("WEBP", {"lossless": True})],
)
def test_colours_of_another_space_become_what_a_viewer_shows(
    read, colour, space, kind, options
) -> None:
    if space == "linear" and max(colour) < 255 and min(colour) < 50:
        pytest.skip("8 bits of light are too few for dark colours")
    content = saved(stored(colour, space), kind, icc_profile=profile(*SPACES[space]), **options)
    samples, notes = read(f"a.{kind.lower()}", content, channels=3)
    assert np.abs(samples[0, :, 4, 4].numpy().astype(int) - colour).max() <= 4
    assert "1 of 1 images have a colour profile other than sRGB and were converted" in notes[0]


def test_colours_stay_as_they_are_stored_where_that_is_asked_for(read) -> None:
    pixel = stored((60, 180, 75), "display-p3")
    content = saved(pixel, "PNG", icc_profile=profile(P3, None))
    samples, notes = read("a.png", content, channels=3, colour_management=False)
    assert samples[0, :, 4, 4].tolist() == np.rint(pixel * 255).tolist()
    assert notes == ()


def test_a_profile_of_srgb_changes_nothing_and_is_not_worth_a_note(read) -> None:
    for icc in (
        profile(SRGB, None),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    ):
        content = saved(np.array([60, 180, 75]) / 255, "PNG", icc_profile=icc)
        samples, notes = read("a.png", content, channels=3)
        assert samples[0, :, 4, 4].tolist() == [60, 180, 75]
        assert notes == ()


@pytest.mark.parametrize("icc", [b"no profile", profile(P3, None)[:200], bytes(200)])
def test_a_damaged_profile_is_said_and_the_pixels_are_kept(read, icc) -> None:
    content = saved(np.array([60, 180, 75]) / 255, "PNG", icc_profile=icc)
    samples, notes = read("a.png", content, channels=3)
    assert samples[0, :, 4, 4].tolist() == [60, 180, 75]
    assert "damaged or for other pixels; they were taken for sRGB: a.png" in notes[0]


def test_transparency_survives_the_conversion(read) -> None:
    pixel = np.rint(stored((60, 180, 75), "display-p3") * 255).astype(int)
    image = Image.new("RGBA", (16, 16), (*pixel.tolist(), 255))
    image.paste((255, 255, 255, 0), (0, 0, 8, 16))
    file = io.BytesIO()
    image.save(file, "PNG", icc_profile=profile(P3, None))
    samples, _ = read("a.png", file.getvalue(), channels=3)
    assert max(samples[0, :, 4, 1].tolist()) <= 2  # the filter rings
    assert np.abs(samples[0, :, 4, 6].numpy().astype(int) - (60, 180, 75)).max() <= 3


def test_grey_is_made_of_the_converted_colours(read) -> None:
    content = saved(
        stored((60, 180, 75), "adobe-rgb"), "PNG", icc_profile=profile(*SPACES["adobe-rgb"])
    )
    samples, _ = read("a.png", content)
    assert abs(int(samples[0, 0, 4, 4]) - (0.299 * 60 + 0.587 * 180 + 0.114 * 75)) <= 3


def test_a_png_that_says_its_gamma_is_converted(read) -> None:
    light = decode_srgb(RAMP)
    rows = np.repeat(np.rint(light * 255), 3).astype("u1").tobytes()
    samples, notes = read(
        "a.png", png(8, 2, rows, (b"gAMA", struct.pack(">I", 100_000))), channels=3
    )
    assert np.abs(np.array(row(samples)) - LEVELS).max() <= 5
    assert "converted to sRGB" in notes[0]


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"gAMA", struct.pack(">I", 45_455))],
        [(b"gAMA", struct.pack(">I", 100_000)), (b"sRGB", b"\0")],
    ],
)
def test_a_png_that_says_that_it_is_srgb_is_not_converted(read, chunks) -> None:
    rows = np.repeat(np.rint(RAMP * 255), 3).astype("u1").tobytes()
    samples, notes = read("a.png", png(8, 2, rows, *chunks), channels=3)
    assert row(samples) == LEVELS
    assert notes == ()


def test_a_camera_that_says_adobe_rgb_without_a_profile_is_believed(read) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 2
    content = saved(stored((60, 180, 75), "adobe-rgb"), "JPEG", quality=100, exif=exif)
    samples, notes = read("a.jpg", content, channels=3)
    assert np.abs(samples[0, :, 4, 4].numpy().astype(int) - (60, 180, 75)).max() <= 4
    assert "converted to sRGB" in notes[0]


# --- frames and suffixes


def frames(kind: str, count: int = 3) -> bytes:
    images = [Image.new("RGB", (16, 16), (80 * n, 0, 0)) for n in range(count)]
    file = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    images[0].save(file, kind, save_all=True, append_images=images[1:], **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "PNG"])
def test_of_several_frames_the_first_is_used_and_the_others_are_said(read, kind) -> None:
    samples, notes = read(f"a.{kind.lower()}", frames(kind), channels=3)
    assert len(samples) == 1
    assert "several frames, and only the first is used: a." in notes[0]
    samples, notes = read(f"a.{kind.lower()}", frames(kind), channels=3, frames="all")
    assert [int(sample[0, 4, 4]) for sample in samples] == [0, 80, 160]
    assert notes == ()


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [("jfif", "JPEG"), ("jpe", "JPEG"), ("avif", "AVIF"), ("jp2", "JPEG2000"), ("tga", "TGA"),
     ("dib", "DIB"), ("pnm", "PPM"), ("pcx", "PCX"), ("qoi", "QOI"), ("PNG", "GIF")],
)  # fmt: skip
def test_what_pillow_reads_is_read_by_every_usual_suffix(read, suffix, kind) -> None:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (60, 180, 75)).save(file, kind)
    samples, notes = read(f"a.{suffix}", file.getvalue(), channels=3)
    assert np.abs(samples[0, :, 4, 4].numpy().astype(int) - (60, 180, 75)).max() <= 6
    assert notes == ()


def test_pictures_of_phones_are_read_with_their_library(read) -> None:
    heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    heif.from_pillow(Image.new("RGB", (64, 64), (60, 180, 75))).save(file, quality=95)
    samples, _ = read("a.heic", file.getvalue(), channels=3)
    assert np.abs(samples[0, :, 4, 4].numpy().astype(int) - (60, 180, 75)).max() <= 6


def test_a_format_that_runs_a_program_is_never_tried(read) -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(DataError, match="not an image"):
        read("a.png", eps)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("bits", "form", "samples", "reported"),
    [
        (32, 3, 3, "a TIFF of 3 x 32-bit floating-point RGB samples"),
        (64, 1, 1, "a TIFF of 1 x 64-bit grey samples"),
        (16, 2, 3, "a TIFF of 3 x 16-bit signed RGB samples"),
    ],
)
def test_a_tiff_that_pillow_cannot_open_says_what_it_is(
    tmp_path: Path, order: str, bits: int, form: int, samples: int, reported: str
) -> None:
    size = 2 * 2 * samples * bits // 8
    entries = [
        (256, 3, 1, 2), (257, 3, 1, 2), (258, 3, 1, bits), (259, 3, 1, 1),
        (262, 3, 1, 2 if samples == 3 else 1), (273, 4, 1, 200), (277, 3, 1, samples),
        (278, 3, 1, 2), (279, 4, 1, size), (339, 3, 1, form),
    ]  # fmt: skip
    head = b"II*\0" if order == "<" else b"MM\0*"
    body = struct.pack(f"{order}IH", 8, len(entries))
    for tag, kind, count, value in entries:
        packed = struct.pack(f"{order}{'H' if kind == 3 else 'I'}", value).ljust(4, b"\0")
        body += struct.pack(f"{order}HHI", tag, kind, count) + packed
    data = (head + body + bytes(4)).ljust(200, b"\0") + bytes(size)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(UnreadableError, match=re.escape(reported)):
        decode(tmp_path / "a.tif", ImageFolderOptions(size=8))


@pytest.mark.parametrize("bits", [8, 16])
def test_deep_channels_in_separate_planes_are_refused_and_others_read(
    tmp_path: Path, bits: int
) -> None:
    planes = np.random.default_rng(0).integers(0, 2**bits, (3, 4, 4))
    data = b"".join(plane.astype(f"<u{bits // 8}").tobytes() for plane in planes)
    size = len(data) // 3
    entries = [
        (256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 3, 160), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 3, 170), (277, 3, 1, 3), (278, 3, 1, 4), (279, 4, 3, 185), (284, 3, 1, 2),
    ]  # fmt: skip
    body = struct.pack("<IH", 8, len(entries))
    for tag, kind, count, value in entries:
        body += struct.pack("<HHI", tag, kind, count) + struct.pack("<I", value)
    file = bytearray((b"II*\0" + body + bytes(4)).ljust(200, b"\0") + data)
    file[160:166] = struct.pack("<3H", bits, bits, bits)
    file[170:182] = struct.pack("<3I", 200, 200 + size, 200 + 2 * size)
    file[185:197] = struct.pack("<3I", size, size, size)
    (tmp_path / "a.tif").write_bytes(bytes(file))
    if bits == 16:
        with pytest.raises(UnreadableError, match="16-bit channels in separate planes"):
            decode(tmp_path / "a.tif", ImageFolderOptions(size=8))
        return
    found = decode(tmp_path / "a.tif", ImageFolderOptions(size=8)).samples[0]
    whole = Image.fromarray(planes.astype(np.uint8).transpose(1, 2, 0))
    expected = np.asarray(whole.resize((8, 8), Image.Resampling.LANCZOS)).transpose(2, 0, 1)
    assert np.array_equal(found, expected)


# Ramps of 8 x 8 pixels from black to white, each row the same, lossless, by OpenJPEG's program.
JPEG_2000 = {
    "12-bit RGB": "/0//UQAvAAAAAAAIAAAACAAAAAAAAAAAAAAACAAAAAgAAAAAAAAAAAADCwEBCwEBCwEB/1IADAAAAAEB"
    "AAQEAAH/XAAEQGD/kAAKAAAAAABkAAH/k9/hRBFqopciE/TwdhG4pCCx+9Lj8iZ2kH5Gcr1E+s6XjNTDnLMCrCuLPc12"
    "YH8ZXNgR3QXVtCq4qw+i9hNCuLPc12YI2Eggl4zPmNW2y8vLy8vLy4CA/9k=",
    "4-bit RGB": "/0//UQAvAAAAAAAIAAAACAAAAAAAAAAAAAAACAAAAAgAAAAAAAAAAAADAwEBAwEBAwEB/1IADAAAAAEB"
    "AAQEAAH/XAAEQCD/kAAKAAAAAAAoAAH/k98hUBFqofAgeQb5AENPbd6ZVG5LdiOgf4CA/9k=",
    "4-bit grey": "/0//UQApAAAAAAAIAAAACAAAAAAAAAAAAAAACAAAAAgAAAAAAAAAAAABAwEB/1IADAAAAAEAAAQEAAH/"
    "XAAEQCD/kAAKAAAAAAAmAAH/k98hUBFqofAgeQb5AENPbd6ZVG5LdiOgf//Z",
}


@pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow reads no JPEG 2000")
@pytest.mark.parametrize("kind", JPEG_2000)
def test_a_jpeg_2000_is_scaled_by_its_depth_or_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.j2k"
    path.write_bytes(base64.b64decode(JPEG_2000[kind]))
    if kind.startswith("12"):
        with pytest.raises(UnreadableError, match="JPEG 2000 of 3 x 12-bit samples"):
            decode(path, ImageFolderOptions(size=8))
        return
    found = decode(path, ImageFolderOptions(size=8)).samples[0]
    ramp = np.rint(np.rint(np.linspace(0, 1, 8) * 15) * 255 / 15)
    assert np.array_equal(found, np.broadcast_to(ramp, (3, 8, 8)))


@pytest.mark.parametrize(
    ("alpha", "declared", "expected"),
    [(0, 0, (200, 100, 50)), (0, 8, (0, 0, 0)), (255, 0, (200, 100, 50)), (128, 8, (100, 50, 25))],
)
def test_the_fourth_byte_of_a_tga_hides_no_whole_picture_unless_it_is_alpha(
    tmp_path: Path, alpha: int, declared: int, expected: tuple[int, ...]
) -> None:
    head = bytes([0, 0, 2, 0, 0, 0, 0, 0]) + struct.pack("<4H", 0, 0, 8, 8)
    pixels = bytes([50, 100, 200, alpha]) * 64
    (tmp_path / "a.tga").write_bytes(head + bytes([32, 0x20 | declared]) + pixels)
    found = decode(tmp_path / "a.tga", ImageFolderOptions(size=8)).samples[0]
    assert np.abs(found[:, 4, 4].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_s_colour_map_has_8_bits_where_its_values_do(tmp_path: Path, bits: int) -> None:
    palette = [0, 0, 0, 200, 100, 50, *[0] * 762]
    image = Image.fromarray(np.ones((8, 8), np.uint8))
    image.putpalette(palette)
    image.save(tmp_path / "a.tif")
    data = (tmp_path / "a.tif").read_bytes()
    written = Image.open(tmp_path / "a.tif").tag_v2[320]
    found = data.find(struct.pack("<768H", *written))
    assert found > 0
    values = [value >> 8 << (bits - 8) for value in written]
    changed = data[:found] + struct.pack("<768H", *values) + data[found + 1536 :]
    (tmp_path / "a.tif").write_bytes(changed)
    pixels = decode(tmp_path / "a.tif", ImageFolderOptions(size=8)).samples[0]
    assert pixels[:, 4, 4].tolist() == [200, 100, 50]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("bits", "value"), [(16, 16384), (32, 1 << 30)])
@pytest.mark.parametrize("orientation", [1, 3])
def test_compressed_signed_values_are_in_the_file_s_order(
    tmp_path: Path, order: str, bits: int, value: int, orientation: int
) -> None:
    pixels = np.zeros((8, 8), f"{order}i{bits // 8}")
    pixels[:, 4:] = value  # dark on the left, unless it is turned round
    data = zlib.compress(pixels.tobytes())
    entries = [
        (256, 3, 8), (257, 3, 8), (258, 3, bits), (259, 3, 8), (262, 3, 1), (273, 4, 200),
        (274, 3, orientation), (277, 3, 1), (278, 3, 8), (279, 4, len(data)), (339, 3, 2),
    ]  # fmt: skip
    body = struct.pack(f"{order}IH", 8, len(entries))
    for tag, kind, number in entries:
        packed = struct.pack(f"{order}{'H' if kind == 3 else 'I'}", number).ljust(4, b"\0")
        body += struct.pack(f"{order}HHI", tag, kind, 1) + packed
    head = b"II*\0" if order == "<" else b"MM\0*"
    (tmp_path / "a.tif").write_bytes((head + body + bytes(4)).ljust(200, b"\0") + data)
    found = decode(tmp_path / "a.tif", ImageFolderOptions(size=8)).samples[0]
    half = round(value / (2 ** (bits - 1) - 1) * 255)
    expected = [0, half] if orientation == 1 else [half, 0]
    assert found[0, 4, [0, 7]].tolist() == expected


def test_uncompressed_ycbcr_is_read_where_each_pixel_has_its_colour_and_else_refused(
    tmp_path: Path,
) -> None:
    def written(subsampling: tuple[int, int]) -> Path:
        entries = [
            (256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 3, 160), (259, 3, 1, 1), (262, 3, 1, 6),
            (273, 4, 1, 200), (277, 3, 1, 3), (278, 3, 1, 8), (279, 4, 1, 192), (530, 3, 2, 0),
        ]  # fmt: skip
        body = struct.pack("<IH", 8, len(entries))
        for tag, kind, count, value in entries:
            packed = struct.pack("<I", value)
            if tag == 530:
                packed = struct.pack("<2H", *subsampling)
            body += struct.pack("<HHI", tag, kind, count) + packed
        data = bytearray((b"II*\0" + body + bytes(4)).ljust(200, b"\0"))
        data[160:166] = struct.pack("<3H", 8, 8, 8)
        path = tmp_path / f"{subsampling[0]}.tif"
        path.write_bytes(bytes(data) + bytes([100, 128, 128]) * 64)
        return path

    found = decode(written((1, 1)), ImageFolderOptions(size=8)).samples[0]
    assert found[:, 4, 4].tolist() == [100, 100, 100]
    with pytest.raises(UnreadableError, match="uncompressed YCbCr"):
        decode(written((2, 2)), ImageFolderOptions(size=8))


@pytest.mark.parametrize(
    ("code", "noted"), [((1, 13, 0, 1), False), ((9, 16, 0, 1), True), ((1, 13, 0, 0), True)]
)
def test_a_png_coded_for_hdr_or_a_wide_gamut_is_noted(
    tmp_path: Path, code: tuple[int, ...], noted: bool
) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (10, 20, 30)).save(file, "PNG")
    data, chunk = file.getvalue(), b"cICP" + bytes(code)
    added = struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "a.png").write_bytes(data[:33] + added + data[33:])
    remarks = decode(tmp_path / "a.png", ImageFolderOptions(size=8)).remarks
    assert ("coded" in remarks) == noted
