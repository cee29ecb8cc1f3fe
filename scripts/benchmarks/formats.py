"""The same demonstrations in every format: the same losses from the same seed, to the bit.

The demonstrations are written as robomimic's files (contiguous), as LIBERO's recorder writes them (compressed, each
file named for its task), and as a LeRobot dataset; a policy is trained on each, what is compressed being decoded once,
and on the fly.

    mtil collect metaworld-mt10 --out data/mt10-formats --episodes-per-task 5 --noise 0.1 \
        --camera corner,gripperPOV --image-size 64
    python scripts/benchmarks/formats.py data/mt10-formats --steps 60
"""

import argparse
import csv
import subprocess
import sys
from pathlib import Path

import h5py

_LOSS = "train/nll"


def main() -> int:
    """Write the formats beside the data, train on each, and compare the logs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="HDF5 files with images, one a task")
    parser.add_argument("--config", default="mt10-pixels", help="a preset, or a configuration's file")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("runs/formats"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, data in _formats(options.data, options.out).items():
        for decoding in ("once",) if name == "robomimic" else ("once", "on_the_fly"):
            run = options.out / f"run-{name}-{decoding}"
            found[f"{name}, {decoding}"] = _trained(options, data, run, decoding)
    expected = next(iter(found.values()))
    for name, metrics in found.items():
        print(f"{name:20} {'the same' if metrics == expected else 'DIFFERS'}  {_losses(metrics)}")
    return int(any(metrics != expected for metrics in found.values()))


def as_libero(source: Path, target: Path) -> Path:
    """Files as LIBERO's recorder stores them: images compressed, each file named for its task."""
    target.mkdir(parents=True)
    for path in sorted(source.glob("*.hdf5")):
        with h5py.File(path) as old, h5py.File(target / f"{path.stem}_demo.hdf5", "w") as new:
            for name in old:
                old.copy(name, new)
            demos = new["data"]
            assert isinstance(demos, h5py.Group)
            for demo in demos.values():
                for key, array in list(demo["obs"].items()):
                    if array.ndim == 4:
                        images = array[()]
                        del demo["obs"][key]
                        demo.create_dataset(f"obs/{key}", data=images, compression="gzip")
            demos.attrs["num_demos"] = len(demos)
            demos.attrs["macros_image_convention"] = "opengl"
    return target


def _formats(data: Path, out: Path) -> dict[str, Path]:
    """The data in each format, written if it is not there."""
    lerobot, libero = out / "lerobot", out / "libero"
    _mtil("convert", data, lerobot, "--to", "lerobot")
    if not libero.exists():
        as_libero(data, libero)
    return {"robomimic": data, "libero": libero, "lerobot": lerobot}


def _trained(options: argparse.Namespace, data: Path, run: Path, decoding: str) -> str:
    """The log of a training."""
    steps = [
        f"trainer.max_steps={options.steps}",
        f"trainer.validate_every={options.steps // 2}",
        "trainer.log_every=10",
    ]
    plain = ["trainer.compile=false", "trainer.precision=32-true", "trainer.threads=1", "trainer.progress_bar=false"]
    where = [f"data.path={data}", f"data.decoding={decoding}", "collection=null"]
    seen = f"data.observations=[proprio,{','.join(_cameras(options.data))}]"
    _mtil("train", options.config, *where, *steps, *plain, seen, "--out", run)
    return (run / "metrics.csv").read_text()


def _cameras(data: Path) -> list[str]:
    with h5py.File(next(iter(sorted(data.glob("*.hdf5"))))) as file:
        observations = file["data/demo_0/obs"]
        assert isinstance(observations, h5py.Group)
        return [key for key, array in observations.items() if array.ndim == 4]


def _losses(metrics: str) -> str:
    """The first and the last loss of a log."""
    found = [row[_LOSS] for row in csv.DictReader(metrics.splitlines()) if row[_LOSS]]
    return f"{float(found[0]):.3f} -> {float(found[-1]):.3f} nats"


def _mtil(*arguments: str | Path) -> None:
    subprocess.run(["mtil", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
