"""An HDF5 file made anew, every array in one piece and as it is: the bytes of the new file, one after the other.

Whoever puts them on disk needs memory for one array at a time.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mtil.data.defects import reading
from mtil.data.hdf5.scaffold import Scaffold, place


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
        self._scaffold = Scaffold()
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
        array = place(target, name, source.shape, source.id.get_type().copy())
        _copy_attributes(source, array)
        self._arrays[array.id.get_offset()] = source


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
