import json
from dataclasses import replace
from typing import Any

import pytest

from mtil.training.diagnosis import Diagnosis, DiagnosisProtocol
from mtil.training.diagnosis_report import print_diagnosis, to_json
from mtil.training.interference import measure

NAMES = ["button-press-topdown-v3", "drawer-open-v3", "drawer-close-v3"]


@pytest.fixture
def diagnosis(linear_problem: Any) -> Diagnosis:
    problem = linear_problem([2000, 800, 1200], ways=[1, 1, 1], apart=0.3)
    problem.vectors[problem.population.task == 2] -= 2 * problem.means[1] + problem.means[2]
    found = measure(
        problem,
        problem.population,
        names=NAMES,
        objectives={"shares as configured": [1.0, 1.0, 1.0], "shares in proportion to the data": [5.0, 2.0, 3.0]},
        batches=20,
        batch_size=256,
        seed=0,
    )
    protocol = DiagnosisProtocol(
        checkpoint="runs/three/checkpoints/last.ckpt",
        step=1500,
        parameters=536_008,
        data="data/three",
        demos=dict(zip(NAMES, (50, 20, 30), strict=True)),
        batch_size=256,
        batches=20,
        seed=0,
    )
    return Diagnosis(protocol, found)


def lost(diagnosis: Diagnosis) -> Diagnosis:
    """The same, with a task of which noise leaves nothing."""
    first, *others = diagnosis.interference.tasks
    nothing = replace(first, read=20, norm=None, share=None, reliability=-0.2)
    cosines = ((None, None, None), (None, 1.0, -0.987), (None, -0.987, 1.0))
    found = replace(diagnosis.interference, tasks=(nothing, *others), cosines=cosines, agreement=None)
    return replace(diagnosis, interference=found)


def test_json_holds_everything(diagnosis: Diagnosis) -> None:
    found = to_json(lost(diagnosis))
    assert list(found) == ["protocol", "interference"]
    assert list(found["interference"]) == ["tasks", "cosines", "agreement", "objectives"]
    assert found["interference"]["tasks"][0]["norm"] is None
    assert found["interference"]["tasks"][1]["share"] == diagnosis.interference.tasks[1].share
    assert found["interference"]["objectives"][0]["schemes"][1]["scheme"] == "random tasks"
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_tables_can_be_read_in_a_terminal_and_piped(
    diagnosis: Diagnosis, capsys: pytest.CaptureFixture[str]
) -> None:
    print_diagnosis(diagnosis)
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "…" not in text
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())
    rows = [line.split() for line in text.splitlines()]
    assert next(row[1:4] for row in rows if row[:1] == [NAMES[0]]) == ["50", "2,000", "33.3"]
    assert sum(row[:1] == ["stratified"] for row in rows) == 2
    words = " ".join(text.split())
    assert "drawer-open-v3 drawer-close-v3 -1.00" in words
    assert "weighted windows" in words
    assert "random windows" in words
    assert "4,000 of 4,000 training windows of data/three" in words
    assert "step 1500, averaged weights, no dropout), 536,008 parameters" in words
    assert "noise" not in words.replace("noise scale", "")


def test_noise_is_owned_up_to(diagnosis: Diagnosis, capsys: pytest.CaptureFixture[str]) -> None:
    print_diagnosis(lost(diagnosis))
    text = capsys.readouterr().out
    assert "…" not in text
    row = next(line.split() for line in text.splitlines() if line.split()[:1] == [NAMES[0]])
    assert row[4:] == ["-", "-", "-0.20"]
    words = " ".join(text.split())
    assert f"Too noisy to say: {NAMES[0]}." in words
    assert "2,020 of 4,000 training windows" in words
    assert "their noise is taken out of norms, shares and cosines" in words
