"""An HDF5 file laid out by HDF5, and written by somebody else.

A disk that fills up under HDF5 crashes the whole process (2.0.0: segmentation fault), and a file made in memory has to
fit there. So HDF5 "writes" into a `Scaffold`, which holds what is beside the arrays; these are only given their places.
Whoever puts the bytes on disk finds a full disk to be an `OSError` as any other.
"""

import io
from collections.abc import Iterator
from typing import Any

import h5py

_PAGE = 4096


def place(group: h5py.Group, name: str, shape: tuple[int, ...], kind: h5py.h5t.TypeID) -> h5py.Dataset:
    """Give an array its place in a file, writing none of it.

    Args:
        group: Which is to hold it.
        name: Its name there; groups on the way are made.
        shape: Without a zero in it.
        kind: Its type in the file.
    """
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    how.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    how.set_obj_track_times(False)  # the same input gives the same bytes
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    space = h5py.h5s.create_simple(shape) if shape else h5py.h5s.create(h5py.h5s.SCALAR)
    return h5py.Dataset(h5py.h5d.create(group.id, name.encode(), kind, space, how, links))


class Scaffold(io.RawIOBase):
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
