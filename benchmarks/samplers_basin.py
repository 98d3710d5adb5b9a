"""Basin's own work in the sampler benchmark: a process that is asked, case by case.

python -m benchmarks.samplers_basin [CORE] < questions
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend import catalogue, samplers
from backend.compilation.compiler import Compiler, OnGPU
from backend.energies.closed_form import Ring
from backend.energies.closed_form_shapes import DoubleWell
from backend.energies.conv import ConvConfig, ConvEnergy
from backend.energies.mlp import MLPConfig, MLPEnergy
from backend.energy import Energy
from backend.networks import products
from backend.randomness import generator_of
from backend.sampler import State
from benchmarks import samplers_work as work
from benchmarks.samplers_work import Case

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
KINDS = {"ula": "langevin"}


class Quadratic(Energy):
    """xᵀPx/2, the Gaussian in the words that every subject uses."""

    precision: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("precision", torch.from_numpy(work.precision()).float())

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return 0.5 * (x @ self.precision * x).sum(1)


def networks() -> dict[str, MLPEnergy | ConvEnergy]:
    """The networks that all subjects get the weights of."""
    return {
        "mlp": MLPEnergy(MLPConfig(width=128, depth=2), torch.Size([2]), generator_of("mlp")),
        "conv": ConvEnergy(
            ConvConfig(features=32, wall=work.WALL), torch.Size([8, 8]), generator_of("conv")
        ),
    }


def energy_of(name: str, precision: torch.dtype) -> Energy:
    """The energy of a case, frozen."""
    if name in ("mlp", "conv"):
        network = networks()[name]
        network.precision = precision
        return network.requires_grad_(False).to(DEVICE)
    closed: dict[str, type[Energy]] = {
        "mixture": Ring,
        "double_well": DoubleWell,
        "gaussian": Quadratic,
    }
    return closed[name]().to(DEVICE)


class Basin:
    """A sampler of Basin's on a case; "compiled" and "bf16" in its name say how."""

    def __init__(self, name: str, case: Case, folder: Path) -> None:
        self.case = case
        self.energy = energy_of(case.energy, torch.bfloat16 if "bf16" in name else torch.float32)
        kind = KINDS.get(case.sampler, case.sampler)
        fields: dict[str, Any] = {"kind": kind, "step_size": case.step_size}
        if case.sampler == "hmc":
            fields["num_leapfrog"] = work.NUM_LEAPFROG
        cls = catalogue.samplers().get(kind)
        if cls is None:
            raise NotImplementedError(f"Basin has no sampler `{kind}` here.")
        self.sampler = samplers.build(cls.Config(**fields))
        if "compiled" in name or "graph" in name:
            on_gpu: OnGPU = "inductor" if "compiled" in name else "graph"
            if name.endswith("compiled graph"):
                on_gpu = "inductor graph"
            self.sampler.compiler = Compiler(background=False, on_gpu=on_gpu)
        start = np.load(folder / f"{case.energy}-{case.num_chains}.npy")
        self.start = torch.from_numpy(start).to(DEVICE)
        self.state: State | None = None
        self.told = False

    def warm_up(self, seed: int) -> int:
        case, generator = self.case, generator_of("warm-up", seed, device=DEVICE)
        if self.state is not None and not case.num_warm_up:
            return 0
        state, evaluations = self.sampler.init(self.start, self.energy, generator), 1
        for index in range(case.num_warm_up):
            state, info = self.sampler.step(state, self.energy, generator)
            state = self.sampler.tune(state, info, index, case.num_warm_up)
            evaluations += info.gradient_evaluations
        self.state = state
        return evaluations

    def draw(self, seed: int) -> tuple[Tensor, int]:
        assert self.state is not None
        generator = generator_of("draw", seed, device=DEVICE)
        walk = samplers.run(
            self.sampler,
            self.state,
            self.energy,
            generator,
            self.case.num_steps,
            record_every=self.case.keep_every,
        )
        self._check()
        positions = walk.state.position[None] if walk.positions is None else walk.positions
        return positions, walk.gradient_evaluations

    def _check(self) -> None:
        """A subject that says compiled and is not would be measured as something else."""
        if self.sampler.compiler is not None and not self.told:
            self.told = True
            status = self.sampler.compiler.status
            print(f"{self.case.name}: {status}", file=sys.stderr)
            if status.phase != "compiled":
                raise RuntimeError(f"nothing was compiled: {status}")


def clock() -> float:
    """CPU seconds of this process; on a GPU the clock's, once all work is done."""
    if DEVICE.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    work.pin(int(sys.argv[1]) if len(sys.argv) > 1 else None)
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False  # all 24 bits, as on the CPU and as the peers are asked
    products.use(products.chosen())
    work.serve(Basin, clock, lambda draws: draws.cpu().numpy())


if __name__ == "__main__":
    main()
