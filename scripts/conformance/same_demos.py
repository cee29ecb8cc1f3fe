"""Do two folders of HDF5 files hold the same, to the bit: states, images, actions, attributes and masks?

python scripts/conformance/same_demos.py ONE OTHER
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import h5py


def main() -> int:
    """Compare the folders that the command line names."""
    parser = argparse.ArgumentParser(description="Compare two folders of HDF5 files.")
    parser.add_argument("folders", type=Path, nargs=2)
    one, other = parser.parse_args().folders
    names = sorted(path.name for path in one.glob("*.hdf5"))
    wrong = names != sorted(path.name for path in other.glob("*.hdf5")) or not names
    for name in names:
        with h5py.File(one / name) as left, h5py.File(other / name) as right:
            before, after = _contents(left), _contents(right)
        differences = [key for key in before | after if before.get(key) != after.get(key)]
        print(f"{name}: {len(before)} arrays and attributes: {f'{differences} DIFFER' if differences else 'all equal'}")
        wrong = wrong or bool(differences)
    return int(wrong)


def _contents(file: h5py.File) -> dict[str, Any]:
    """Type, shape and bytes of each array, and each attribute, by name."""
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        found.update({f"{name}@{key}": str(value) for key, value in item.attrs.items()})
        if isinstance(item, h5py.Dataset):
            found[name] = (str(item.dtype), item.shape, item[()].tobytes())

    file.visititems(visit)
    return found


if __name__ == "__main__":
    sys.exit(main())
