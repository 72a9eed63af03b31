"""Array files: headers without data, memory maps, and nothing unpickled."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from gradaudit.specs.files import FileProblem, open_array, read_header, split_key


def test_a_header_is_read_without_the_data(tmp_path: Path) -> None:
    path = str(tmp_path / "a.npy")
    np.save(path, np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    header = read_header(path, None)
    assert (header.shape, header.dtype, header.fortran_order) == ((2, 3), np.float64, True)
    np.testing.assert_array_equal(open_array(path, None, (2, 3)), np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize("compressed", [False, True])
def test_an_archive_is_mapped_unless_it_is_compressed(tmp_path: Path, compressed: bool) -> None:
    path = str(tmp_path / "a.npz")
    first, second = np.arange(5, dtype=">f4"), np.arange(8, dtype=np.int16).reshape(2, 4)
    (np.savez_compressed if compressed else np.savez)(path, first=first, second=second)
    for key, array in (("first", first), ("second", second)):
        found = open_array(path, key, array.shape)
        np.testing.assert_array_equal(found, array)
        assert isinstance(found, np.memmap) is not compressed
        assert not found.flags.writeable


def test_the_only_array_of_an_archive_needs_no_key(tmp_path: Path) -> None:
    path = str(tmp_path / "a.npz")
    np.savez(path, logits=np.zeros((2, 3)))
    assert read_header(path, None).key == "logits"


def test_keys_stand_behind_a_colon() -> None:
    assert split_key("dir/a.npz:b") == ("dir/a.npz", "b")
    assert split_key("dir/a.npz") == ("dir/a.npz", None)
    assert split_key("C:\\a.npy") == ("C:\\a.npy", None)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("a file was unpickled",))


def test_pickles_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(FileProblem, match="holds pickled Python objects, which are never read; save plain numbers"):
        read_header(str(path), None)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(FileProblem, match=r"is no \.npy array: .*save it with numpy\.save"):
        read_header(str(path), None)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3, dtype=ml_dtypes.bfloat16), "as numpy.save writes bfloat16; save it as float32"),
        (np.zeros(3, dtype=complex), "has dtype complex128; expected float16, float32, float64 or integers"),
        (np.zeros(3, dtype=np.longdouble), "; expected float16, float32, float64 or integers"),
        (np.zeros(3, dtype=[("a", "f4")]), "; expected float16, float32, float64 or integers"),
        (np.zeros(3, dtype="U4"), "; expected float16, float32, float64 or integers"),
        (np.zeros(()), "holds a single number; expected an array with class axes"),
        (np.zeros((3, 0)), "is empty, shape [3, 0]; nothing can be audited"),
    ],
    ids=str,
)
def test_what_cannot_be_audited_is_refused_by_its_header(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", a=array)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(FileProblem) as refused:
            read_header(str(tmp_path / name), None)
        assert message in str(refused.value)


def test_a_header_that_promises_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros(1000, dtype=np.float32))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(
        FileProblem, match=r"is cut off: shape \[1000\] of float32 needs 4,000 bytes, 3,996 are there"
    ):
        read_header(str(path), None)


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff{", b"\x93NUMPY\x09\x00\x10\x00"]
)
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    for name in ("a.npy", "a.npz"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileProblem, match=r"numpy\.save"):
            read_header(str(tmp_path / name), None)


def test_a_damaged_member_of_an_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"no array")
        archive.writestr("readme.txt", b"")
    with pytest.raises(FileProblem, match=r"is no \.npy array"):
        read_header(str(path), None)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", b"")
    with pytest.raises(FileProblem, match="holds no arrays"):
        read_header(str(path), None)


def test_folders_are_no_files_and_changed_files_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "dir.npy").mkdir()
    with pytest.raises(FileProblem, match="is not a file"):
        read_header(str(tmp_path / "dir.npy"), None)
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    with pytest.raises(FileProblem, match=r"changed since the spec was read: its shape was \[3\], and is \[2, 2\]"):
        open_array(str(tmp_path / "a.npy"), None, (3,))
