"""Commands that make, look at and repack demonstrations."""

from pathlib import Path
from typing import Annotated

import typer

from mtil.cli.options import Workers, names_in
from mtil.ranks import this_rank


def collect(
    suite: Annotated[
        str, typer.Argument(metavar="SUITE", help="e.g. metaworld-mt10, or a YAML file that describes one")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write one file a task to")],
    tasks: Annotated[str | None, typer.Option(help="Comma-separated; all by default")] = None,
    episodes_per_task: Annotated[int, typer.Option(min=1, help="Successful demonstrations of each task")] = 25,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    noise: Annotated[float, typer.Option(min=0, help="Deviation of noise on executed actions; labels stay clean")] = 0,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Attempts that take longer have failed")] = None,
    steps_after_success: Annotated[int, typer.Option(min=0, help="Steps recorded beyond the first success")] = 0,
    camera: Annotated[
        str | None, typer.Option(metavar="C[,C2]", help="Cameras to record images of; none by default")
    ] = None,
    image_size: Annotated[int, typer.Option(min=1, help="Height and width of the images")] = 84,
    crop: Annotated[
        list[str] | None,
        typer.Option(metavar="C=L,T,R,B", help="What to keep of a camera: left, top, right, bottom, as fractions"),
    ] = None,
    workers: Workers = None,
) -> None:
    """Collect demonstrations from scripted experts. Run again, it finishes what was interrupted."""
    from rich.console import Console

    from mtil.collection.config import read_cameras
    from mtil.collection.report import collect_and_report
    from mtil.collection.settings import CollectionSettings

    settings = CollectionSettings(
        suite=suite,
        seed=seed,
        noise=noise,
        episodes_per_task=episodes_per_task,
        max_steps=max_steps,
        steps_after_success=steps_after_success,
        cameras=read_cameras(names_in(camera, "--camera") or (), size=image_size, crops=crop or ()),
    )
    console = Console(quiet=not this_rank().first)
    collect_and_report(settings, out, tasks=names_in(tasks), workers=workers, console=console)


def inspect(
    path: Annotated[Path, typer.Argument(help="A file or folder of demonstrations, or OWNER/NAME on the Hub")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
    contact_sheet: Annotated[
        Path | None, typer.Option(help="Picture of each task's first demonstration, as the policy sees it")
    ] = None,
) -> None:
    """Show tasks, demos, steps and features of a dataset, and every defect; exit status 1 if there is any."""
    import json as json_format

    from mtil.data.inspection import inspect as inspect_dataset
    from mtil.pictures import check_suffix

    if contact_sheet is not None:
        check_suffix(contact_sheet)
    found = inspect_dataset(path)
    if json:
        print(json_format.dumps(found.to_json(), indent=2))
    else:
        from rich.console import Console

        from mtil.data.inspection_table import print_inspection

        print_inspection(found, Console())
    if contact_sheet is not None:
        from mtil.data.contact_sheet import write_contact_sheet
        from mtil.data.formats import open_tasks

        write_contact_sheet(contact_sheet, open_tasks(path))
    if found.defects:
        raise typer.Exit(1)


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC", help="A file or folder of demonstrations, of any format, or OWNER/NAME on the Hub"
        ),
    ],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="The file or folder to write")],
    to: Annotated[
        str, typer.Option(metavar="hdf5|lerobot", help="hdf5: robomimic's, contiguous and uncompressed; lerobot: v3.0")
    ],
    film: Annotated[bool, typer.Option("--film", help="To lerobot: films instead of pictures, smaller, lossy")] = False,
    fps: Annotated[float | None, typer.Option(min=0.01, help="To lerobot: steps a second, if SRC tells none")] = None,
    fix: Annotated[
        str | None,
        typer.Option(metavar="C[,C2]", help="Put right, in LIBERO's recordings: flip or rotate (images), timing"),
    ] = None,
) -> None:
    """Write demonstrations anew, in another format or as they are read fastest. Run again, it finishes its work."""
    from mtil.data.conversion import convert as convert_dataset
    from mtil.data.conversion import progress_bar
    from mtil.data.corrections import read_corrections

    corrections = read_corrections(names_in(fix, "--fix") or ())
    with progress_bar() as report:
        done = convert_dataset(
            source, destination, layout=to, corrections=corrections, filmed=film, fps=fps, report=report
        )
    for note in done.notes:
        print(note)
    print(f"{destination}: {done.written} {'tasks' if to == 'lerobot' else 'files'} written, {done.kept} kept")
