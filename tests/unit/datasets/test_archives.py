"""Archives that somebody else made are unpacked whole, inside their folder, or not at all."""

import gzip
import io
import os
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from aigc_core import DataError
from aigc_core.datasets import extract_archive

Files = Mapping[str, bytes]
FILES = {"top/a.wav": b"aaa", "top/deep/b.wav": b"b" * 3_000_000, "top/c.txt": b"", "d.wav": b"d"}


def make_zip(path: Path, files: Files, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.mkdir("top")
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_tar(path: Path, files: Files, mode: str = "w", **options: Any) -> Path:
    with tarfile.open(path, mode, **options) as archive:
        folder = tarfile.TarInfo("top")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def make_tar_gz(path: Path, files: Files) -> Path:
    return make_tar(path, files, "w:gz")


Maker = Callable[[Path, Files], Path]
every_kind = pytest.mark.parametrize("make", [make_zip, make_tar, make_tar_gz])


def extract(archive: Path, **options: Any) -> list[str]:
    """Unpack all files under their own names into ``out`` beside the archive."""
    options = {"wanted": lambda name: name, "max_files": 100, "max_bytes": 10**8} | options
    return extract_archive(archive, archive.with_name("out"), **options)


def unpacked(archive: Path) -> dict[str, bytes]:
    out = archive.with_name("out")
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file()
    }


def fails(archive: Path, match: str, **options: Any) -> None:
    """Unpacking fails, names the archive, and leaves nothing anywhere."""
    before = sorted(archive.parent.rglob("*"))
    with pytest.raises(DataError, match=match) as failed:
        extract(archive, **options)
    assert str(archive) in str(failed.value)
    assert sorted(archive.parent.rglob("*")) == before


@every_kind
@pytest.mark.parametrize("name", ["data", "data.zip", "data.tar.gz"])
def test_all_files_arrive_whatever_the_archives_name(
    tmp_path: Path, make: Maker, name: str
) -> None:
    archive = make(tmp_path / name, FILES)
    assert extract(archive) == list(FILES)
    assert unpacked(archive) == FILES
    assert sorted(os.listdir(tmp_path)) == sorted([name, "out"])


@every_kind
def test_an_empty_archive_is_an_empty_folder(tmp_path: Path, make: Maker) -> None:
    assert extract(make(tmp_path / "a", {})) == []
    assert (tmp_path / "out").is_dir()


def test_a_zip_without_any_member_is_an_empty_folder(tmp_path: Path) -> None:
    zipfile.ZipFile(tmp_path / "a", "w").close()
    assert extract(tmp_path / "a") == []


@every_kind
def test_what_is_wanted_goes_where_it_is_sent(tmp_path: Path, make: Maker) -> None:
    archive = make(tmp_path / "a", FILES)
    asked = []

    def wanted(name: str) -> str | None:
        asked.append(name)
        return f"all/{Path(name).name}" if name.endswith(".wav") else None

    assert extract(archive, wanted=wanted) == ["all/a.wav", "all/b.wav", "all/d.wav"]
    assert asked == list(FILES)
    assert set(unpacked(archive)) == {"all/a.wav", "all/b.wav", "all/d.wav"}


@every_kind
def test_members_may_be_as_many_and_as_long_as_allowed(tmp_path: Path, make: Maker) -> None:
    archive = make(tmp_path / "a", {"a": b"12345", "b": b"678"})
    assert extract(archive, max_files=2, max_bytes=8) == ["a", "b"]


@every_kind
def test_too_many_files_are_refused(tmp_path: Path, make: Maker) -> None:
    archive = make(tmp_path / "a", {"a": b"", "b": b"", "c": b""})
    fails(archive, r"not unpacked: it holds more than the 2 files allowed", max_files=2)


@every_kind
def test_too_many_bytes_in_all_are_refused(tmp_path: Path, make: Maker) -> None:
    archive = make(tmp_path / "a", {"a": b"12345", "b": b"678"})
    fails(archive, r"not unpacked: it holds more bytes than are allowed", max_bytes=7)


@every_kind
def test_a_bomb_is_stopped_at_the_limit_not_at_its_end(
    tmp_path: Path, make: Maker, monkeypatch
) -> None:
    archive = make(tmp_path / "a", {"bomb": bytes(50_000_000)})
    written = []
    open_path = Path.open

    def watched(self: Path, mode: str = "r", *more: Any, **options: Any) -> Any:
        if mode == "xb":
            written.append(self)
        return open_path(self, mode, *more, **options)

    monkeypatch.setattr(Path, "open", watched)
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)  # to see what was written
    with pytest.raises(DataError, match="more bytes"):
        extract(archive, max_bytes=3_000_000)
    (path,) = written
    assert path.stat().st_size <= 3_000_000


def header(name: str, kind: bytes, size: int, sparse_size: int = 0) -> bytes:
    """A block that starts a member of a tar; sizes may be negative."""
    info = tarfile.TarInfo(name)
    info.type = kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    if kind == tarfile.GNUTYPE_SPARSE:
        block[483:495] = tarfile.itn(sparse_size, 12, tarfile.GNU_FORMAT)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


FAR = 5_000_000
"""More bytes than are unpacked before a bomb is refused."""


@pytest.mark.parametrize(
    "content",
    [
        header("left out", tarfile.REGTYPE, FAR) + bytes(FAR),
        header("left out", tarfile.REGTYPE, 1 << 40) + bytes(FAR),
        bytes(FAR),
        (header("left out", tarfile.REGTYPE, 100_000) + bytes(100_352)) * 50,
    ],
    ids=["a member", "a member that says it has a terabyte", "its end", "members"],
)
def test_what_is_left_out_of_a_tar_gz_is_not_unpacked_without_limit(
    tmp_path: Path, content: bytes
) -> None:
    packed = gzip.compress(content)
    (tmp_path / "a").write_bytes(packed[: len(packed) * 9 // 10])  # to its end it is not read
    match = r"not unpacked: it unpacks to more than 1,\d{3},\d{3} bytes"
    fails(tmp_path / "a", match, max_bytes=1000, max_files=10, wanted=lambda name: None)


@every_kind
def test_members_that_are_left_out_are_counted(tmp_path: Path, make: Maker) -> None:
    files = {str(number): b"" for number in range(1010)}
    archive = make(tmp_path / "a", files)  # and a folder
    match = r"not unpacked: it has more than 1,010 members of any kind"
    fails(archive, match, max_files=1, wanted=lambda name: None)
    few = make(tmp_path / "few", dict(list(files.items())[1:]))
    assert extract(few, max_files=1, wanted=lambda name: None) == []


@every_kind
def test_ten_times_as_much_may_be_left_out(tmp_path: Path, make: Maker) -> None:
    archive = make(tmp_path / "a", {"wanted": b"1" * 100_000, "not": b"0" * 1_000_000})
    allowed = {"max_bytes": 100_000, "max_files": 1}
    assert extract(archive, wanted={"wanted": "w", "not": None}.__getitem__, **allowed) == ["w"]


def test_a_zip_that_claims_less_than_it_holds_is_damaged(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a", {"bomb": bytes(1_000_000)})
    content = archive.read_bytes()
    assert content.count(struct.pack("<I", 1_000_000)) == 2  # in the header and the directory
    archive.write_bytes(content.replace(struct.pack("<I", 1_000_000), struct.pack("<I", 10)))
    fails(archive, r"is damaged.*: .*CRC", max_bytes=100)


def test_a_zip_that_claims_more_than_it_holds_is_damaged(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a", {"a": bytes(1_000_000)})
    content = archive.read_bytes()
    archive.write_bytes(content.replace(struct.pack("<I", 1_000_000), struct.pack("<I", 1_000_001)))
    fails(archive, r"is damaged: a has 1,000,000 of 1,000,001 bytes")


UNSAFE = [
    "../a", "a/../../b", "a/..", "..", "/a", "//a", "a//b", "a/", "", ".", "./a", "C:/a", "C:a",
    "\\a", "a\\..\\b", "a\0b", "a:stream",
]  # fmt: skip


@every_kind
@pytest.mark.parametrize("target", UNSAFE)
def test_paths_that_lead_elsewhere_are_refused(tmp_path: Path, make: Maker, target: str) -> None:
    archive = make(tmp_path / "a", {"good": b"g", "evil": b"e"})
    sent = {"good": "good", "evil": target}
    fails(archive, r"evil would become .* no safe path", wanted=sent.__getitem__)


@every_kind
@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, make: Maker, name: str) -> None:
    fails(make(tmp_path / "a", {name: b"e"}), r"no safe path")


def test_a_zips_name_does_not_end_at_its_first_nul(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a", {"a.wavXevil": b"e"})
    archive.write_bytes(archive.read_bytes().replace(b"a.wavXevil", b"a.wav\0evil"))
    fails(archive, r"no safe path")


@every_kind
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a", "A"),
        ("x/ß", "X/SS"),
        ("caf\u00e9", "cafe\u0301"),
        ("a", "a/b"),
        ("a/b", "A"),
    ],
)
def test_two_files_in_one_place_are_refused(
    tmp_path: Path, make: Maker, first: str, second: str
) -> None:
    fails(make(tmp_path / "a", {first: b"1", second: b"2"}), r"which is taken already")


@every_kind
def test_a_member_that_is_there_twice_is_refused(tmp_path: Path, make: Maker) -> None:
    archive = make(tmp_path / "a", {"a": b"1", "b": b"2"})
    fails(archive, r"b would become c, which is taken already", wanted=lambda name: "c")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE]
)
def test_a_tars_links_and_devices_are_neither_made_nor_followed(tmp_path: Path, kind) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    archive = tmp_path / "a"
    with tarfile.open(archive, "w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = kind, str(outside)
        tar.addfile(link)
        through = tarfile.TarInfo("link/evil")
        through.size = 1
        tar.addfile(through, io.BytesIO(b"e"))
    assert extract(archive) == ["link/evil"]
    assert unpacked(archive) == {"link/evil": b"e"}
    assert not (tmp_path / "out" / "link").is_symlink()
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK])
def test_a_zips_links_and_devices_are_left_out(tmp_path: Path, kind: int) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (kind | 0o777) << 16
        archive.writestr(link, "/etc/hostname")
        archive.writestr("a", "1")
    assert extract(tmp_path / "a") == ["a"]
    assert unpacked(tmp_path / "a") == {"a": b"1"}


def test_an_archives_modes_and_owners_are_not_taken(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a", "w") as tar:
        info = tarfile.TarInfo("a")
        info.mode = 0o4777
        tar.addfile(info)
    extract(tmp_path / "a")
    assert (tmp_path / "out" / "a").stat().st_mode & 0o7111 == 0


@every_kind
@pytest.mark.parametrize("left", [0.0, 0.3, 0.6, 0.999])
def test_an_archive_that_is_cut_off_is_damaged(tmp_path: Path, make: Maker, left: float) -> None:
    noise = {name: os.urandom(5000) for name in ("a", "b", "c")}
    archive = make(tmp_path / "a", noise)
    content = archive.read_bytes().rstrip(b"\0")  # a tar's end is many empty blocks
    archive.write_bytes(content[: int(len(content) * left)])
    fails(archive, r"is damaged.*: ")


@every_kind
def test_a_changed_byte_of_a_header_or_a_packed_content_is_damage(
    tmp_path: Path, make: Maker
) -> None:
    archive = make(tmp_path / "a", {"first": b"1" * 600, "second": b"2"})
    content = bytearray(archive.read_bytes())
    place = content.find(b"second") if make is not make_tar_gz else len(content) - 6
    content[place] ^= 1
    archive.write_bytes(content)
    fails(archive, r"is damaged.*: ")


def test_a_tar_cut_between_two_members_is_damaged(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a", {"first": b"1", "second": b"2"})
    content = archive.read_bytes()
    archive.write_bytes(content[: content.find(b"second")])
    fails(archive, r"is damaged.*: it ends too early")


def test_another_checksum_of_gzip_is_damage(tmp_path: Path) -> None:
    archive = make_tar_gz(tmp_path / "a", FILES)
    content = bytearray(archive.read_bytes())
    content[-8] ^= 1
    archive.write_bytes(content)
    fails(archive, r"is damaged: CRC check failed")


@pytest.mark.parametrize("content", [b"", b"no archive", b"\0" * 100, b"PK\3\4" + b"x" * 600])
def test_another_file_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    fails(tmp_path / "a", r"is damaged.*: ")


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    fails(tmp_path / "a", r"a cannot be read: No such file or directory")


def test_what_needs_much_memory_to_unpack_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a", {"a": b"1"}, zipfile.ZIP_LZMA)
    fails(archive, r"is compressed in an unusual way")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path, kind: bytes) -> None:
    with gzip.open(tmp_path / "a", "wb") as file:
        file.write(header("a", kind, 1 << 40))
        file.write(bytes(10_000_000))
    fails(tmp_path / "a", r"one of its headers is far too long")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_of_negative_length_does_not_read_the_rest(tmp_path: Path, kind: bytes) -> None:
    (tmp_path / "a").write_bytes(header("a", kind, -1024) + bytes(2048))
    fails(tmp_path / "a", r"one of its headers is far too long")


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_SPARSE])
@pytest.mark.parametrize("wanted", [lambda name: name, lambda name: None])
def test_a_negative_length_does_not_go_back_for_ever(tmp_path: Path, kind, wanted) -> None:
    """CVE-2025-8194: the third member says that the second follows it."""
    empty = header("first", tarfile.REGTYPE, 0) + header("second", tarfile.REGTYPE, 0)
    (tmp_path / "a").write_bytes(empty + header("third", kind, -1024) + bytes(2048))
    fails(tmp_path / "a", r"is damaged.*: ", wanted=wanted)


def test_a_sparse_file_of_a_terabyte_is_left_out(tmp_path: Path) -> None:
    sparse = header("a", tarfile.GNUTYPE_SPARSE, 0, sparse_size=1 << 40)
    (tmp_path / "a").write_bytes(sparse + header("b", tarfile.REGTYPE, 0) + bytes(1024))
    assert extract(tmp_path / "a") == ["b"]


def test_headers_within_headers_end(tmp_path: Path) -> None:
    nested = header("a", tarfile.GNUTYPE_LONGNAME, 1) + b"n".ljust(512, b"\0")
    (tmp_path / "a").write_bytes(nested * 5000 + bytes(1024))
    fails(tmp_path / "a", r"is damaged.*: ")


def test_members_that_are_left_out_cost_no_memory(tmp_path: Path) -> None:
    count = 10_000
    content = header("a", tarfile.REGTYPE, 0) * count + bytes(1024)
    (tmp_path / "a").write_bytes(gzip.compress(content))
    del content
    tracemalloc.start()
    try:
        assert extract(tmp_path / "a", wanted=lambda name: None, max_files=count) == []
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 200 * count  # what is kept of a member takes several times that


@every_kind
@pytest.mark.parametrize("there", ["folder", "file", "dead link"])
def test_nothing_that_exists_is_overwritten(tmp_path: Path, make: Maker, there: str) -> None:
    archive, out = make(tmp_path / "a", {"a": b"new"}), tmp_path / "out"
    if there == "folder":
        out.mkdir()
    elif there == "file":
        out.write_bytes(b"old")
    else:
        out.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError, match="out is there already"):
        extract(archive)
    assert sorted(os.listdir(tmp_path)) == ["a", "out"]
    assert not unpacked(archive)


@every_kind
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ZeroDivisionError])
def test_an_interruption_leaves_nothing(tmp_path: Path, make: Maker, error) -> None:
    archive = make(tmp_path / "a", {"a": b"1", "b": b"2"})

    def wanted(name: str) -> str:
        if name == "b":
            raise error
        return name

    with pytest.raises(error):
        extract(archive, wanted=wanted)
    assert os.listdir(tmp_path) == ["a"]


@every_kind
def test_a_full_disk_is_an_oserror_and_leaves_nothing(
    tmp_path: Path, make: Maker, monkeypatch
) -> None:
    archive = make(tmp_path / "a", {"a": b"1"})
    open_path = Path.open

    def full(self: Path, mode: str = "r", *more: Any, **options: Any) -> Any:
        if mode == "xb":
            raise OSError(28, "No space left on device")
        return open_path(self, mode, *more, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space left"):
        extract(archive)
    assert os.listdir(tmp_path) == ["a"]
