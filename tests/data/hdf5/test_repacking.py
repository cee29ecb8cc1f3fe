from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mtil.data.hdf5.demo import offset_in_file
from mtil.data.hdf5.repacking import Repacking
from mtil.errors import DatasetError


def opened(path: Path, mode: str = "r") -> Any:
    """The file. (Whatever type pyright takes an item of it for.)"""
    return h5py.File(path, mode)


def repack(source: Path, target: Path) -> int:
    """Writes the file anew; returns the size that was foretold."""
    with opened(source) as file:
        repacking = Repacking(file)
        target.write_bytes(b"".join(bytes(block) for block in repacking.blocks()))
        return repacking.size


def described(path: Path) -> dict[str, Any]:
    """Everything in a file: by name, the links' targets, the arrays' types and bytes, and all attributes' too."""
    found: dict[str, Any] = {}

    def attributes(item: Any) -> dict[str, Any]:
        types = {name: item.attrs.get_id(name).get_type().encode() for name in item.attrs}
        return {name: (types[name], item.attrs.get_id(name).shape, str(item.attrs[name])) for name in item.attrs}

    def walk(group: Any, path: str) -> None:
        found[path] = attributes(group)
        for name in group:
            link, item = group.get(name, getlink=True), group[name]
            if isinstance(link, h5py.SoftLink):
                found[f"{path}/{name}"] = link.path
            elif isinstance(item, h5py.Group):
                walk(item, f"{path}/{name}")
            else:
                values = None if item.shape is None else np.asarray(item[()])
                content = None if values is None else values.tolist() if item.dtype.hasobject else values.tobytes()
                found[f"{path}/{name}"] = attributes(item), item.id.get_type().encode(), item.shape, content

    with opened(path) as file:
        walk(file, "")
    return found


plain = st.one_of(
    arrays.integer_dtypes(endianness="?"),
    arrays.unsigned_integer_dtypes(endianness="?"),
    arrays.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    arrays.byte_string_dtypes(min_len=1, max_len=5),
    arrays.boolean_dtypes(),
)
values = plain.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=4, min_side=1)))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stored=st.lists(values, max_size=5),
    told=st.lists(st.one_of(values, st.text(st.characters(codec="ascii", exclude_characters="\0"))), max_size=5),
    options=st.sampled_from([{}, {"chunks": True}, {"compression": "gzip"}, {"fletcher32": True, "shuffle": True}]),
)
def test_every_value_and_type_is_the_same_and_lies_in_one_piece(
    tmp_path: Path, stored: list[np.ndarray], told: list[Any], options: dict[str, Any]
) -> None:
    source, target = tmp_path / "source.h5", tmp_path / "target.h5"
    with opened(source, "w") as file:
        for i, array in enumerate(stored):
            file.create_dataset(f"group_{i % 2}/array_{i}", data=array, **(options if array.ndim else {}))
        for i, value in enumerate(told):
            file.attrs[f"attribute_{i}"] = value
            file.require_group("group_0").attrs[f"attribute_{i}"] = value
    assert repack(source, target) == target.stat().st_size
    assert described(target) == described(source)
    with opened(target) as file:
        content = target.read_bytes()
        for i, array in enumerate(stored):
            copy = file[f"group_{i % 2}/array_{i}"]
            offset = offset_in_file(copy)
            assert offset is not None
            assert content[offset:].startswith(array.tobytes())


def test_what_is_no_plain_array_is_kept(tmp_path: Path) -> None:
    source, target = tmp_path / "source.h5", tmp_path / "target.h5"
    with opened(source, "w") as file:
        file.create_dataset("names", data=["demo_10", "demo_1"], dtype=h5py.string_dtype())
        file.create_dataset("pairs", data=np.zeros(3, [("left", "f4"), ("right", "u1")]))
        file.create_dataset("nothing", shape=(0, 3), dtype="f4")
        file["shapeless"] = h5py.Empty("f8")
        file.attrs["shapeless"] = h5py.Empty("f4")
        file.attrs["sentences"] = ["öffne die Lade", "open it"]
        file.attrs.create("model", "<mujoco/>" * 20_000, dtype=h5py.string_dtype())  # robosuite's are as long
    repack(source, target)
    assert described(target) == described(source)


def test_links_within_the_file_stay_links(tmp_path: Path) -> None:
    source, target = tmp_path / "source.h5", tmp_path / "target.h5"
    with opened(source, "w") as file:
        file["data/obs/camera"] = np.arange(5)
        file["data/next/camera"] = h5py.SoftLink("/data/obs/camera")
        file["data/again"] = file["data/obs"]
        file["data/obs/twin"] = file["data/obs/camera"]
        file["broken"] = h5py.SoftLink("/nowhere")
    repack(source, target)
    with opened(target) as file:
        assert file.get("data/next/camera", getlink=True).path == "/data/obs/camera"
        assert file.get("broken", getlink=True).path == "/nowhere"
        assert file["data/again"] == file["data/obs"]
        assert file["data/obs/twin"] == file["data/obs/camera"]
        np.testing.assert_array_equal(file["data/next/camera"], np.arange(5))


def test_other_files_become_part_of_it(tmp_path: Path) -> None:
    source, other, target = (tmp_path / f"{name}.h5" for name in ("source", "other", "target"))
    with opened(other, "w") as file:
        file["deep/images"] = np.arange(7)
        file["deep/linked"] = h5py.SoftLink("/deep/images")
    with opened(source, "w") as file:
        file["array"] = h5py.ExternalLink(other.name, "/deep/images")
        file["group"] = h5py.ExternalLink(other.name, "/deep")
    repack(source, target)
    other.unlink()
    with opened(target) as file:
        for name in ("array", "group/images", "group/linked"):
            np.testing.assert_array_equal(file[name], np.arange(7))


def test_its_memory_is_what_stands_beside_the_arrays(tmp_path: Path) -> None:
    source = tmp_path / "source.h5"
    with opened(source, "w") as file:
        for i in range(10):
            file.create_dataset(f"data/demo_{i}", (1000, 1000), np.uint8)[-1, -1] = 1
    with opened(source) as file:
        repacking = Repacking(file)
        assert repacking.size > 10_000_000
        assert sum(len(block) for block in repacking.blocks() if isinstance(block, bytes)) < 20_000
        assert max(len(block) for block in repacking.blocks()) == 1_000_000


def test_the_same_input_gives_the_same_bytes(sound: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.h5", tmp_path / "two.h5"
    repack(sound, one)
    repack(one, two)
    assert one.read_bytes() == two.read_bytes()


def test_damage_is_told(sound: Path, tmp_path: Path) -> None:
    with opened(sound, "r+") as file:
        noise = np.random.default_rng(0).integers(0, 256, 1000, np.uint8)
        chunk = file.create_dataset("noise", data=noise, compression="gzip").id.get_chunk_info(0)
        file["lost"] = h5py.ExternalLink("nowhere.h5", "/")
    with pytest.raises(DatasetError, match=r"drawer-open\.hdf5: /+lost: cannot be read"):
        repack(sound, tmp_path / "target.h5")
    with opened(sound, "r+") as file:
        del file["lost"]
    content = bytearray(sound.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    sound.write_bytes(content)
    with pytest.raises(DatasetError, match=r"drawer-open\.hdf5: /noise: cannot be read"):
        repack(sound, tmp_path / "target.h5")
