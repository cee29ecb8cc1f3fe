"""An HDF5 file made anew, every array in one piece and as it is: the bytes of the new file, one after the other.

HDF5 lays the new file out, but does not write it. A disk that fills up under HDF5 crashes the whole process (2.0.0:
segmentation fault), and a file made in memory has to fit there. So it "writes" into a `_Scaffold`, which holds what is
beside the arrays; these are only given their places. Whoever puts the bytes on disk finds a full disk to be an
`OSError` as any other, and needs memory for one array at a time.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mtil.data.defects import reading

_PAGE = 4096


class Repacking:
    """A file of demonstrations made anew: groups, attributes, links and values are the same, whatever they mean.

    Links to other files become part of it. What is no array of numbers or short strings is copied as HDF5 copies it.

    Args:
        source: The file, open.

    Attributes:
        size: Bytes of the new file.

    Raises:
        DatasetError: The source cannot be read.
    """

    def __init__(self, source: h5py.File) -> None:
        self._path = Path(source.filename)
        self._scaffold = _Scaffold()
        self._arrays: dict[int, h5py.Dataset] = {}
        with reading(self._path), h5py.File(self._scaffold, "w") as target:
            self._copy_group(source, target, {})
        self.size = self._scaffold.size

    def blocks(self) -> Iterator[bytes | memoryview]:
        """The bytes of the new file, from the first to the last.

        Raises:
            DatasetError: The source cannot be read.
        """
        done = 0
        for offset, array in sorted(self._arrays.items()):
            yield self._scaffold.read_between(done, offset)
            with reading(self._path, str(array.name)):
                values = np.asarray(array[()], array.dtype).reshape(-1).view(np.uint8)
            yield values.data
            done = offset + len(values)
        yield self._scaffold.read_between(done, self.size)

    def _copy_group(self, source: h5py.Group, target: h5py.Group, seen: dict[Any, str]) -> None:
        """Copy what is below a group; an object that has several names keeps them."""
        _copy_attributes(source, target)
        for name in map(str, source):
            link = source.get(name, getlink=True)
            if isinstance(link, h5py.SoftLink) and source.file.filename == str(self._path):
                target[name] = h5py.SoftLink(link.path)
                continue
            with reading(self._path, f"{source.name}/{name}".replace("//", "/")):
                item = source[name]
            if item.id in seen:
                target[name] = target.file[seen[item.id]]
                continue
            seen[item.id] = f"{target.name}/{name}"
            if isinstance(item, h5py.Group):
                self._copy_group(item, target.create_group(name), seen)
            elif isinstance(item, h5py.Dataset) and _is_plain(item):
                self._place(item, target, name)
            else:
                source.copy(item, target, name)

    def _place(self, source: h5py.Dataset, target: h5py.Group, name: str) -> None:
        """Give an array its place, writing none of it."""
        how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        how.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        how.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        how.set_obj_track_times(False)  # the same input gives the same bytes
        space = h5py.h5s.create_simple(source.shape) if source.shape else h5py.h5s.create(h5py.h5s.SCALAR)
        array = h5py.h5d.create(target.id, name.encode(), source.id.get_type().copy(), space, how)
        _copy_attributes(source, h5py.Dataset(array))
        self._arrays[array.get_offset()] = source


def _is_plain(array: h5py.Dataset) -> bool:
    """Whether a file holds the values of an array as memory does."""
    plain = bool(array.size) and array.dtype.kind in "biufS"
    return plain and h5py.h5t.py_create(array.dtype, logical=True) == array.id.get_type()


def _copy_attributes(source: h5py.Group | h5py.Dataset, target: h5py.Group | h5py.Dataset) -> None:
    """Copy attributes in their own types (h5py's own interface would choose others for some)."""
    for name in map(str, source.attrs):
        old = h5py.h5a.open(source.id, name.encode())
        new = h5py.h5a.create(target.id, name.encode(), old.get_type().copy(), old.get_space())
        if old.get_space().get_simple_extent_type() != h5py.h5s.NULL:
            values = np.empty(old.shape, old.dtype)
            old.read(values)
            new.write(values)


class _Scaffold(io.RawIOBase):
    """A file in memory that takes up room only where it has been written to."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}
        self._at = 0
        self.size = 0

    def read_between(self, start: int, stop: int) -> bytes:
        """The bytes of a part; where nothing was written they are zeros."""
        self.seek(start)
        return self.read(stop - start) or b""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        into = memoryview(buffer).cast("B")
        for page, within, part in self._parts(len(into)):
            into[part] = self._pages[page][within] if page in self._pages else bytes(part.stop - part.start)
        return len(into)

    def write(self, data: Any) -> int:
        given = memoryview(data).cast("B")
        for page, within, part in self._parts(len(given)):
            self._pages.setdefault(page, bytearray(_PAGE))[within] = given[part]
        self.size = max(self.size, self._at)
        return len(given)

    def truncate(self, size: int | None = None) -> int:
        self.size = self._at if size is None else size
        return self.size

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def _parts(self, count: int) -> Iterator[tuple[int, slice, slice]]:
        """The next bytes: pages that they lie in, where there, and which of them these are. Moves on."""
        done = 0
        while done < count:
            page, within = divmod(self._at, _PAGE)
            part = min(_PAGE - within, count - done)
            yield page, slice(within, within + part), slice(done, done + part)
            done += part
            self._at += part
