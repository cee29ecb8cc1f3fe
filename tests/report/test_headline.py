from collections.abc import Callable
from pathlib import Path

import yaml

from mtil.report.headline import headline
from mtil.report.run import read_run
from mtil.report.subject import subjects


def test_what_is_not_known_is_left_out(make_run: Callable[..., Path]) -> None:
    found = headline(subjects([read_run(make_run())])[0])
    assert (found.successes, found.episodes) == (8, 12)
    facts = {"tasks": "3", "steps of training": "40", "head": "gaussian", "told by": "language"}
    assert dict(found.facts) == facts


def test_demonstrations_are_counted(make_run: Callable[..., Path], opposites: Path) -> None:
    path = make_run()
    config = yaml.safe_load((path / "config.yaml").read_text())
    (path / "config.yaml").write_text(yaml.safe_dump(config | {"data": {"path": str(opposites)}}))
    assert dict(headline(subjects([read_run(path)])[0]).facts)["demonstrations"] == "12"
