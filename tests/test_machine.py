import json
import sys
from dataclasses import asdict

import torch

from mtil.machine import this_machine


def test_it_is_this_machine() -> None:
    machine = this_machine()
    assert machine.python == sys.version.split()[0]
    assert machine.packages["torch"] == torch.__version__.partition("+")[0]
    assert {"mtil", "lightning", "metaworld", "mujoco"} <= machine.packages.keys()
    assert len(machine.accelerators) == torch.cuda.device_count()
    assert machine.cores >= 1
    assert machine.memory > 0
    assert machine.processor


def test_it_can_be_written_down() -> None:
    found = asdict(this_machine())
    assert json.loads(json.dumps(found)) == {**found, "accelerators": list(found["accelerators"])}
