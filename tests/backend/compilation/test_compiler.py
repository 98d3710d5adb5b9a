"""Compiled arithmetic: the same numbers as eager, whatever happens while it is being compiled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from backend import samplers
from backend.compilation.compiler import MOST_KEPT, WORTH_IT, Compiler
from backend.energies.closed_form import Gaussian, Ring
from backend.energies.mlp import MLPConfig, MLPEnergy
from backend.energy import Energy, energy_and_gradient
from backend.randomness import generator_of
from backend.sampler import State
from backend.samplers.hmc import HMC, HMCConfig
from backend.samplers.langevin import Langevin, LangevinConfig
from backend.samplers.mala import MALA, MALAConfig
from tests.conftest import ROOT

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "c++", "clang++"))), reason="no C++ compiler here"
)


def leap(
    energy: Energy, x: Tensor, momentum: Tensor, gradient: Tensor, kick: float, drift: float
) -> tuple[Tensor, State]:
    momentum = momentum - kick * gradient
    x = x + drift * momentum
    return momentum, State(x, *energy_and_gradient(energy, x))


def looks(energy: Energy, x: Tensor) -> Tensor:
    return x if bool(x.sum() > 0) else -x


def network(**fields: Any) -> MLPEnergy:
    config = MLPConfig(width=16, depth=2, **fields)
    return MLPEnergy(config, torch.Size([2]), generator_of("network"))


def langevin(step_size: float, compiler: Compiler | None) -> Langevin:
    sampler = Langevin(LangevinConfig(step_size=step_size))
    sampler.compiler = compiler
    return sampler


def positions(num: int = 64) -> Tensor:
    return torch.randn((num, 2), generator=generator_of("positions"))


def assert_same(found: Any, wanted: Any) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@needs_compiler
@pytest.mark.parametrize(
    "energy",
    [
        pytest.param(network(), id="network", marks=pytest.mark.slow),
        pytest.param(Ring(), id="mixture"),
    ],
)
def test_compiled_steps_are_those_of_eager(energy: Energy) -> None:
    compiler, x = Compiler(background=False), positions()
    given = (x, 0.5 * x, -x, 0.05, 0.1)
    momentum, state = compiler(leap, energy, *given)
    assert isinstance(state, State) and not state.extra
    wanted_momentum, wanted = leap(energy, *given)
    assert_same((momentum, *state[:3]), (wanted_momentum, *wanted[:3]))
    ends = [
        samplers.run(langevin(0.01, one), x, energy, generator_of(1), 5).state
        for one in (compiler, None)
    ]
    assert_same(ends[0][:3], ends[1][:3])
    assert compiler.status.phase == "compiled" and compiler.status.seconds > 0


@needs_compiler
@pytest.mark.slow
def test_wide_layers_of_many_chains_go_in_blocks_that_change_no_chain() -> None:
    compiler, num = Compiler(background=False), 2501
    wide = MLPEnergy(MLPConfig(width=128, depth=2), torch.Size([2]), generator_of("wide"))
    for kind in (Langevin(LangevinConfig(step_size=0.01)), MALA(MALAConfig()), HMC(HMCConfig())):
        ends = []
        for one in (compiler, None):
            kind.compiler = one
            walk = samplers.run(kind, positions(num), wide, generator_of(1), 3)
            assert walk.info is not None
            ends.append((*walk.state[:3], walk.info.proposal, walk.info.acceptance_rate))
        assert_same(*ends)
    assert compiler.status.phase == "compiled"
    pieces = list(compiler._pieces[wide].values())
    assert len(pieces) == 3 and all(0 < piece.block < num for piece in pieces)
    narrow = Ring()
    samplers.run(langevin(0.01, compiler), positions(num), narrow, generator_of(1), 1)
    (piece,) = compiler._pieces[narrow].values()
    assert piece.block == 0


@needs_compiler
def test_another_step_size_is_not_compiled_anew() -> None:
    compiler, energy, x = Compiler(background=False), Ring(), positions()
    for step_size in (0.01, 0.02, torch.tensor(0.03), torch.tensor(0.04)):
        given = (x, x, -x, step_size, 0.1)
        assert_same(compiler(leap, energy, *given)[0], leap(energy, *given)[0])
    # one for floats and one for 0-d tensors
    assert len(compiler._pieces[energy]) == 2


@needs_compiler
def test_training_is_seen_and_so_are_exchanged_parameters() -> None:
    compiler, energy, x = Compiler(background=False), network(), positions()
    given = (x, x, x, 0.05, 0.1)
    compiler(leap, energy, *given)
    with torch.no_grad():
        for parameter in energy.parameters():
            parameter.mul_(2)
    assert_same(compiler(leap, energy, *given)[1].energy, leap(energy, *given)[1].energy)
    layer = next(module for module in energy.modules() if isinstance(module, nn.Linear))
    layer.bias = nn.Parameter(torch.ones(16))
    assert_same(compiler(leap, energy, *given)[1].energy, leap(energy, *given)[1].energy)
    assert compiler.status.phase == "compiled"


@needs_compiler
def test_it_starts_eager_and_a_swap_in_mid_run_leaves_the_chains_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # a warm one is done at once
    precision, step_size = 4.0, 0.1
    energy = Gaussian(torch.zeros(2), torch.eye(2) / precision)
    compiler = Compiler()
    sampler, generator = langevin(step_size, compiler), generator_of("chains")
    walk = samplers.run(sampler, positions(4000), energy, generator, WORTH_IT - 1)
    assert compiler.status.phase == "eager"
    walk = samplers.run(sampler, walk.state, energy, generator, 1)
    assert compiler.status.phase == "compiling"
    assert compiler.wait().phase == "compiled"
    walk = samplers.run(sampler, walk.state, energy, generator, 30)
    plain = samplers.run(
        langevin(step_size, None), positions(4000), energy, generator_of("chains"), WORTH_IT + 30
    )
    assert_same(walk.state.position, plain.state.position)
    # and the law is the one that theory gives for this step size: 8,000 independent coordinates
    variance = 1 / (precision * (1 - step_size * precision / 2))
    found = float(walk.state.position.square().mean())
    assert abs(found / variance - 1) < 4 * (2 / 8000) ** 0.5


@needs_compiler
def test_a_machine_without_a_compiler_stays_eager_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch._inductor.config as inductor

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    compiler, energy, x = Compiler(background=False), Ring(7), positions(33)
    with inductor.patch({"cpp.cxx": ("no-such-compiler",)}):
        found = compiler(leap, energy, x, x, x, 0.05, 0.1)
    assert_same(found[0], leap(energy, x, x, x, 0.05, 0.1)[0])
    assert str(compiler.status).startswith("compiled path failed: ")
    assert "compiler" in compiler.status.reason.lower()


class Noisy(Energy):
    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return nn.functional.dropout(x, 0.5).square().sum(1)


@pytest.mark.parametrize(
    ("energy", "reason"),
    [(Noisy(), "random numbers"), (network(spectral_norm=True), "writes into its own tensors")],
)
def test_an_energy_that_is_no_pure_function_stays_eager(energy: Energy, reason: str) -> None:
    compiler, x = Compiler(background=False), positions()
    compiler(leap, energy, x, x, x, 0.05, 0.1)
    assert reason in compiler.status.reason


def test_a_function_that_looks_at_values_stays_eager() -> None:
    compiler, energy, x = Compiler(background=False), Ring(), positions()
    assert torch.equal(compiler(looks, energy, x), looks(energy, x))
    assert compiler.status.phase == "failed" and compiler.status.reason


def test_energies_that_come_and_go_are_not_all_compiled() -> None:
    compiler, x = Compiler(), positions()
    energies = [Ring() for _ in range(MOST_KEPT + 1)]
    for energy in energies:
        compiler(leap, energy, x, x, x, 0.05, 0.1)
    assert "only the first" in compiler.status.reason


IN_A_FORK = """
import os, torch, torch._dynamo
process = os.fork()
if process:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
from backend.compilation.compiler import Compiler
from backend.energies.closed_form import Ring
from backend.energy import energy_and_gradient
torch.set_num_threads(1)
compiler, energy, x = Compiler(), Ring(), torch.zeros(64, 2)
for _ in range(20):
    compiler(energy_and_gradient, energy, x)
print(compiler.status.phase, compiler.wait().phase, flush=True)
compiler(energy_and_gradient, energy, x)
os._exit(compiler.status.phase != "compiled")
"""


@pytest.mark.slow
@needs_compiler
def test_it_compiles_in_a_process_forked_after_torch_was_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FORK],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.stdout.split() == ["compiling", "compiled"], done.stderr
    assert done.returncode == 0


@pytest.mark.gpu
def test_a_cuda_graph_gives_what_its_kernels_give() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA device here")
    compiler, energy = Compiler(), network().cuda()
    kept = []
    for number in range(WORTH_IT + 3):
        x = positions().cuda() + number
        given = (x, 0.5 * x, -x, 0.01 * (number + 1), 0.1)
        momentum, state = compiler(leap, energy, *given)
        kept.append((state.energy, leap(energy, *given)[1].energy))
        assert_same(momentum, leap(energy, *given)[0])
    assert compiler.status.phase == "compiled"
    for found, wanted in kept:  # no result was overwritten by a later replay
        assert_same(found, wanted)
    layer = next(module for module in energy.modules() if isinstance(module, nn.Linear))
    layer.bias = nn.Parameter(torch.ones(16, device="cuda"))
    assert_same(compiler(leap, energy, *given)[1].energy, leap(energy, *given)[1].energy)
    assert "exchanged" in compiler.status.reason
