from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from mtil.report.headline import headline
from mtil.report.run import read_run
from mtil.report.subject import subjects


def test_what_is_not_known_is_left_out(make_run: Callable[..., Path]) -> None:
    found = headline(subjects([read_run(make_run())])[0])
    assert (found.successes, found.episodes) == (8, 12)
    facts = {"tasks": "3", "steps of training": "40", "head": "gaussian", "told by": "language"}
    assert dict(found.facts) == facts


def test_every_seed_is_told(make_run: Callable[..., Path]) -> None:
    runs = [read_run(make_run("bc-0")), read_run(make_run("bc-1", seed=1))]
    found = headline(subjects(runs)[0])
    assert (found.successes, found.episodes) == (16, 24)
    assert found.seeds == pytest.approx((8 / 12, 8 / 12))


def test_demonstrations_are_counted(make_run: Callable[..., Path], opposites: Path) -> None:
    path = make_run()
    config = yaml.safe_load((path / "config.yaml").read_text())
    (path / "config.yaml").write_text(yaml.safe_dump(config | {"data": {"path": str(opposites)}}))
    assert dict(headline(subjects([read_run(path)])[0]).facts)["demonstrations"] == "12"
