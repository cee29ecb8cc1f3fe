"""Damaged files of every format end in our own error or in a correct read.

Small datasets are damaged, one file of one of them at a time: their bytes (bits flipped, parts overwritten, zeroed,
repeated, cut off), or what they hold, through the library that writes it (other types, missing and repeated rows,
numbers out of all bounds, links that lead nowhere, other films). Each is then read in every way that there is:
`inspect`, `open_tasks` and all episodes, `Frames` decoded once and on the fly. This happens in a process of its own,
which is watched: a crash, a hang, and a gigabyte taken for a few kilobytes are noticed, and end nothing else.

    python scripts/fuzz.py --files 1000 --seed 0 --kinds hdf5,parquet,json,film,arrow

What becomes of a file:

- refused: an `MtilError` of one line, and `inspect` tells of it, too;
- right: read, with the values and words that it held before;
- told: read with those values, but other words are told: names, sentences, masks, the environment, or an observation
  less. They are in JSON, or in attributes of HDF5, and nothing else holds them;
- unguarded: read with other values, where no checksum covers the damaged bytes: HDF5 files but for their compressed
  pieces (the numbers of an array, and the addresses where these lie), mp4 films, parquet files of writers that leave
  checksums out, and Arrow files, which have none. Nobody can tell such values from those that were meant;
- library: a crash or a hang inside a library that no check of ours comes before; see below;
- failed: anything else, be it another exception, a silent wrong read of what `mtil` itself has written with checksums
  (its parquet files, pictures) or of lengths, indices, times and tables that do not fit together. Exit status 1.

Known of libraries: HDF5 2.0.0 reads on forever where the free space of a "global heap", which holds texts of
attributes, claims to have no bytes (one damaged HDF5 file in about a thousand; `--kinds hdf5 --seed 0 --only 544`). No
cheap check can come before: where in a file these heaps lie, HDF5 tells nobody.
"""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from fuzzing.cases import KINDS
from fuzzing.watching import OUTCOMES, Judge
from rich.console import Console
from rich.progress import track
from rich.table import Table


def main() -> int:
    """Judge as many cases as the command line asks for; 1 if any failed."""
    options = _options()
    console = Console(stderr=True)
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in options.kinds}
    with (
        tempfile.TemporaryDirectory(prefix="mtil-fuzz-") as folder,
        Judge(Path(folder), seed=options.seed, timeout=options.timeout) as judge,
    ):
        for kind in options.kinds:
            numbers = [options.only] if options.only is not None else range(options.files)
            for number in track(numbers, kind, console=console, transient=True):
                verdict = judge.judge(kind, number)
                counts[kind][verdict.outcome] += 1
                if verdict.outcome in ("failed", "library") or options.only is not None or options.verbose:
                    again = f"--kinds {kind} --seed {options.seed} --only {number}"
                    print(f"{verdict.outcome}: {again}: {verdict.done}", flush=True)
    _show(counts)
    return int(any(count["failed"] for count in counts.values()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Damage files of small datasets, and read them in every way.")
    parser.add_argument("--files", type=int, default=1000, help="damaged files of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=list(KINDS), help=",".join(KINDS))
    parser.add_argument("--only", type=int, help="the number of one case to repeat")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds for one file")
    parser.add_argument("--verbose", action="store_true", help="tell of every file")
    options = parser.parse_args()
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"--kinds: expected some of {', '.join(KINDS)}, found {', '.join(sorted(unknown))}")
    return options


def _show(counts: dict[str, Counter[str]]) -> None:
    table = Table("kind", "files", *OUTCOMES)
    for kind, count in counts.items():
        table.add_row(kind, str(count.total()), *(str(count[outcome]) for outcome in OUTCOMES))
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
