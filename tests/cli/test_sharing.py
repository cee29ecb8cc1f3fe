"""Push, and names on the Hub where the command line takes paths."""

import json
from collections.abc import Callable
from pathlib import Path

from hub_server import HubServer
from typer.testing import Result

from mtil.errors import HubError

Invoke = Callable[..., Result]
SMALL = (
    "suite=null",
    "collection=null",
    "trainer.max_steps=2",
    "trainer.threads=1",
    "trainer.progress_bar=false",
    "policy.points=null",
    "policy.task_encoder.kind=one_hot",
)


def test_from_a_folder_to_the_hub_and_back(hub: HubServer, opposites: Path, tmp_path: Path, invoke: Invoke) -> None:
    pushed = invoke("push", opposites, "acme/kitchen", "--private")
    assert pushed.exit_code == 0, pushed.exception
    assert pushed.stdout.startswith(f"pushed: acme/kitchen, {hub.address}/")
    assert hub.repositories["dataset", "acme/kitchen"].private
    found = invoke("inspect", "acme/kitchen", "--json")
    assert found.exit_code == 0, found.exception
    assert [task["demos"] for task in json.loads(found.stdout)["tasks"]] == [6, 6]
    assert invoke("convert", "acme/kitchen", "copy", "--to", "hdf5").exit_code == 0
    assert sorted(path.name for path in Path("copy").iterdir()) == ["left.hdf5", "right.hdf5"]

    trained = invoke("train", "mt10-state", "data.path=acme/kitchen", *SMALL, "--out", "run")
    assert trained.exit_code == 0, trained.exception
    assert invoke("push", "run", "acme/both").exit_code == 0
    tuned = invoke("finetune", "acme/both@main", "--data", "acme/kitchen", "trainer.max_steps=2")
    assert tuned.exit_code == 0, tuned.exception
    assert Path("runs/both-finetuned/config.yaml").is_file()


def test_what_is_no_name(opposites: Path, invoke: Invoke) -> None:
    found = invoke("push", opposites, "kitchen")
    assert isinstance(found.exception, HubError)
    assert str(found.exception) == "kitchen: expected OWNER/NAME, or OWNER/NAME@REVISION, as on the Hub"
