"""Arrays in .npy and .npz files: their headers, read without the data, and the data, memory-mapped where possible.

Nothing is ever unpickled.
"""

from __future__ import annotations

import stat
import struct
import zipfile
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.lib import format as npy

from gradaudit.specs.wording import did_you_mean, one_of, path_text, shape_text, shown

MOST_KEYS = 12
_LOCAL_HEADER = struct.Struct("<26xHH")


class FileProblem(Exception):  # noqa: N818 - a message on its way to a place in the spec
    """Why a file holds no array that can be used; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of its array. `offset` is where the data begins in `path`, None where it is compressed."""

    path: str
    key: str | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool
    offset: int | None


def split_key(text: str) -> tuple[str, str | None]:
    """`data.npz:logits` as path and key; other texts are paths."""
    path, found, key = text.rpartition(".npz:")
    return (f"{path}.npz", key) if found else (text, None)


def read_header(path: str, key: str | None) -> Header:
    """Shape and dtype of the array in `path` (under `key` in an .npz file); FileProblem where there is none."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".npy", ".npz"):
        raise FileProblem(f"{path_text(path)} is neither .npy nor .npz; save the array with numpy.save")
    try:
        status = Path(path).stat()
    except (OSError, ValueError) as error:
        raise FileProblem(_why_not_opened(path, error)) from None
    if not stat.S_ISREG(status.st_mode):
        raise FileProblem(f"{path_text(path)} is not a file")
    if suffix == ".npy":
        if key is not None:
            raise FileProblem(f"{path_text(path)} holds one array without a key; remove key: {shown(key)}")
        with _opened(path) as stream:
            header = _npy_header(stream, path, None)
        _check(header, status.st_size - cast(int, header.offset))
        return header
    return _npz_header(path, key)


def open_array(path: str, key: str | None, shape: tuple[int, ...]) -> np.ndarray:
    """The array, read-only and memory-mapped unless it is compressed; FileProblem where it is no longer `shape`."""
    header = read_header(path, key)
    if header.shape != shape:
        raise FileProblem(
            f"{path_text(path)} changed since the spec was read: its shape was {shape_text(shape)}, and is "
            f"{shape_text(header.shape)}"
        )
    order: Any = "F" if header.fortran_order else "C"
    if header.offset is not None:
        return np.memmap(path, dtype=header.dtype, mode="r", offset=header.offset, shape=header.shape, order=order)
    with zipfile.ZipFile(path) as archive, archive.open(f"{header.key}.npy") as member:
        try:
            array = npy.read_array(member, allow_pickle=False)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise FileProblem(f"{path_text(path)}: the array {shown(header.key)} is damaged: {error}") from None
    array.flags.writeable = False
    return array


def _why_not_opened(path: str, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        folder = Path(path).parent
        names = sorted(entry.name for entry in folder.glob("*.np[yz]"))[:1000] if folder.is_dir() else []
        near = did_you_mean(Path(path).name, names) if names else ""
        hint = near if near.startswith("; did") else "; paths are relative to the spec"
        return f"there is no file {path_text(path)}{hint}"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{path_text(path)} cannot be opened: {reason}"


def _opened(path: str) -> IO[bytes]:
    try:
        return open(path, "rb")  # noqa: PTH123 - closed by the caller's with
    except OSError as error:
        raise FileProblem(_why_not_opened(path, error)) from None


def _npy_header(stream: IO[bytes], path: str, key: str | None) -> Header:
    try:
        version = npy.read_magic(stream)
        reader = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
        if reader is None:
            raise FileProblem(f"{path_text(path)} has the .npy format {version}; save plain numbers with numpy.save")
        shape, fortran_order, dtype = reader(stream)
    except (
        ValueError,
        EOFError,
        OSError,
        zipfile.BadZipFile,
        SyntaxError,
        TypeError,
        MemoryError,
        RecursionError,
    ) as error:
        raise FileProblem(
            f"{path_text(path)} is no .npy array: {shown(str(error))}; save it with numpy.save"
        ) from None
    return Header(path, key, tuple(int(size) for size in shape), np.dtype(dtype), bool(fortran_order), stream.tell())


def _check(header: Header, available: int) -> None:
    dtype = header.dtype
    name = f"{path_text(header.path)} ({header.key})" if header.key else path_text(header.path)
    if dtype.hasobject:
        raise FileProblem(f"{name} holds pickled Python objects, which are never read; save plain numbers")
    if dtype.kind == "V" and dtype.itemsize == 2 and dtype.names is None:
        raise FileProblem(f"{name} holds bare 2-byte items, as numpy.save writes bfloat16; save it as float32")
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise FileProblem(f"{name} has dtype {dtype}; expected float16, float32, float64 or integers")
    if not header.shape:
        raise FileProblem(f"{name} holds a single number; expected an array with class axes")
    if 0 in header.shape:
        raise FileProblem(f"{name} is empty, shape {shape_text(header.shape)}; nothing can be audited")
    needed = prod(header.shape) * dtype.itemsize
    if needed > available:
        raise FileProblem(
            f"{name} is cut off: shape {shape_text(header.shape)} of {dtype} needs {needed:,} bytes, "
            f"{max(available, 0):,} are there"
        )


def _npz_header(path: str, key: str | None) -> Header:
    try:
        with _opened(path) as stream, zipfile.ZipFile(stream) as archive:
            keys = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
            chosen = _chosen(path, key, keys)
            info = archive.getinfo(f"{chosen}.npy")
            with archive.open(info) as member:
                header = _npy_header(member, path, chosen)
                inner = member.tell()
            _check(header, info.file_size - inner)
            offset = None
            if info.compress_type == zipfile.ZIP_STORED:
                stream.seek(info.header_offset)
                name_length, extra_length = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
                offset = info.header_offset + _LOCAL_HEADER.size + name_length + extra_length + inner
    except (zipfile.BadZipFile, struct.error, NotImplementedError, RuntimeError, EOFError, KeyError) as error:
        raise FileProblem(
            f"{path_text(path)} is no .npz archive: {shown(str(error))}; save it with numpy.savez"
        ) from None
    return Header(path, chosen, header.shape, header.dtype, header.fortran_order, offset)


def _chosen(path: str, key: str | None, keys: list[str]) -> str:
    if not keys:
        raise FileProblem(f"{path_text(path)} holds no arrays; save them with numpy.savez")
    if key is None:
        if len(keys) == 1:
            return keys[0]
        raise FileProblem(f"{path_text(path)} holds {len(keys)} arrays; add key: {one_of(keys[:MOST_KEYS])}")
    if key not in keys:
        raise FileProblem(f"{path_text(path)} has no array {shown(key)}{did_you_mean(key, keys[:MOST_KEYS])}")
    return key
