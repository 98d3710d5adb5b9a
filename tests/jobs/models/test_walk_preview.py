"""The walk of a launch's preview: of the sampler that is set, on the law of the data, to scale."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from backend.spec import Budget, RunSpec
from jobs.models import walk_preview
from jobs.models.method_setup import Prepared, prepare

STEPS = {"kind": "langevin", "step_size": 0.002}


def prepared(data: dict[str, Any], **config: Any) -> Prepared:
    spec = RunSpec(
        method="contrastive_divergence", data=data, config=config, budget=Budget(steps=1)
    )
    return prepare(spec, torch.device("cpu"), lambda run: pytest.fail(run))


def test_its_steps_are_as_long_as_the_sampler_says_in_units_of_the_data() -> None:
    of = prepared({"name": "moons", "num": 200, "num_held_out": 100}, sampler=STEPS)
    path = np.array(walk_preview.walk(of))
    assert path.shape == (walk_preview.NUM_STEPS + 1, 2)
    np.testing.assert_allclose(path[0], of.data.restore(of.data.held_out[:1])[0], rtol=1e-6)
    # the median of |ξ| in the plane is √(2 ln 2); drift adds little at so small a step
    steps = np.linalg.norm(np.diff(path, axis=0) / of.data.scale.numpy(), axis=1)
    expected = math.sqrt(2 * 0.002) * math.sqrt(2 * math.log(2))
    assert np.median(steps) == pytest.approx(expected, rel=0.3)
    assert walk_preview.walk(of) == path.tolist()


@pytest.mark.parametrize("data", [{"name": "digits"}, {"name": "gaussian", "dim": 3}])
def test_there_is_none_beyond_the_plane(data: dict[str, Any]) -> None:
    assert walk_preview.walk(prepared(data)) == []
