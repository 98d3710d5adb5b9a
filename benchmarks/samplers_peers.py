"""The peers' work in the sampler benchmark; runs in the peers' environment and knows no Basin.

    .venv-peers/bin/python -m benchmarks.samplers_peers torchebm|ebmkit|blackjax [CORE] < questions

Each as its guide says and as fast as it allows: energies without parameters to train, blackjax with
all chains and all steps in one jitted scan. Formulas are the same in torch and in jax.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import samplers_work as work
from benchmarks.samplers_work import Case, Subject

_JITTER = 1_000_003


def torch_energy(name: str, folder: Path) -> Callable[[Any], Any]:
    """Energy of a case in torch, (batch, ...) → (batch,)."""
    import torch
    import torch.nn.functional as F

    weights = {key: torch.from_numpy(value) for key, value in np.load(folder / "nets.npz").items()}
    centres = torch.from_numpy(work.centres())
    precision = torch.from_numpy(work.precision()).float()
    sd = work.well_sd()

    def mixture(x: Any) -> Any:
        squares = (x[:, None] - centres).square().sum(2)
        return -(-squares / (2 * work.SD**2)).logsumexp(1)

    def double_well(x: Any) -> Any:
        well = work.BARRIER * ((x[:, 0] / work.WELL).square() - 1).square()
        return well + 0.5 * (x[:, 1] / sd).square()

    def dense(x: Any, key: str) -> Any:
        return F.linear(x, weights[f"{key}.weight"], weights[f"{key}.bias"])

    def mlp(x: Any) -> Any:
        return dense(F.silu(dense(F.silu(dense(x, "mlp.1")), "mlp.3")), "mlp.5")[:, 0]

    def conv(x: Any) -> Any:
        h = F.conv2d(x[:, None], weights["conv.0.weight"], weights["conv.0.bias"], padding=1)
        h = F.conv2d(
            F.silu(h), weights["conv.2.weight"], weights["conv.2.bias"], stride=2, padding=1
        )
        h = F.silu(dense(F.silu(h).flatten(1), "conv.5"))
        outside = (x.abs() - 1).clamp(min=0).flatten(1)
        return dense(h, "conv.7")[:, 0] + outside.square().sum(1) / (2 * work.WALL**2)

    def gaussian(x: Any) -> Any:
        return 0.5 * (x @ precision * x).sum(1)

    energies = {"mixture": mixture, "double_well": double_well, "mlp": mlp, "conv": conv}
    return energies.get(name, gaussian)


class TorchEBM:
    """torchebm's LangevinDynamics and HamiltonianMonteCarlo; it has no MALA and no NUTS."""

    def __init__(self, subject: str, case: Case, folder: Path) -> None:
        import torch
        import torchebm.samplers
        from torchebm.core import BaseModel

        value = torch_energy(case.energy, folder)

        class Model(BaseModel):
            def forward(self, x: Any) -> Any:
                return value(x)

        if case.sampler == "ula":
            self.sampler = torchebm.samplers.LangevinDynamics(Model(), step_size=case.step_size)
        elif case.sampler == "hmc":
            self.sampler = torchebm.samplers.HamiltonianMonteCarlo(
                Model(), step_size=case.step_size, n_leapfrog_steps=work.NUM_LEAPFROG
            )
        else:
            raise NotImplementedError(f"torchebm has no {case.sampler}")
        self.case = case
        self.start = torch.from_numpy(np.load(folder / f"{case.energy}-{case.num_chains}.npy"))

    def warm_up(self, seed: int) -> int:
        return 0

    def draw(self, seed: int) -> tuple[Any, int]:
        import torch

        generator = torch.Generator().manual_seed(seed)
        steps = self.case.num_steps
        end = self.sampler.sample(self.start, n_steps=steps, generator=generator)
        each = work.NUM_LEAPFROG if self.case.sampler == "hmc" else 1
        return end[None], steps * each


class EBMKit:
    """ebmkit's samplers; its NUTS tunes its step and keeps a unit mass."""

    def __init__(self, subject: str, case: Case, folder: Path) -> None:
        import torch
        from ebm import samplers

        self.case, self.count = case, 0
        value = torch_energy(case.energy, folder)

        def counted(x: Any) -> Any:
            self.count += 1
            return value(x)

        self.energy = counted if case.sampler == "nuts" else value
        make: dict[str, Callable[[], Any]] = {
            "ula": lambda: samplers.LangevinDynamics(case.step_size),
            "mala": lambda: samplers.MALA(case.step_size),
            "hmc": lambda: samplers.HMC(case.step_size, work.NUM_LEAPFROG),
            "nuts": lambda: samplers.NUTS(case.step_size, warmup=case.num_warm_up),
        }
        self.make = make[case.sampler]
        self.sampler = self.make()
        self.start = torch.from_numpy(np.load(folder / f"{case.energy}-{case.num_chains}.npy"))
        self.now = self.start

    def warm_up(self, seed: int) -> int:
        if not self.case.num_warm_up:
            return 0
        import torch

        torch.manual_seed(seed)
        before, self.sampler = self.count, self.make()
        if self.case.sampler == "nuts":
            self.now = self.sampler.sample(self.energy, self.start, steps=0)
            self.sampler.warmup = 0
            return self.count - before
        self.now = self.sampler.sample(self.energy, self.start, steps=self.case.num_warm_up)
        return 2 * self.case.num_warm_up

    def draw(self, seed: int) -> tuple[Any, int]:
        import torch

        torch.manual_seed(seed)
        before, steps, every = self.count, self.case.num_steps, self.case.keep_every
        if not every:
            draws = self.sampler.sample(self.energy, self.now, steps=steps)[None]
        else:
            path = self.sampler.sample(self.energy, self.now, steps=steps, return_trajectory=True)
            draws = path[every::every]
        each = {"ula": 1, "mala": 2, "hmc": work.NUM_LEAPFROG}
        sampler = self.case.sampler
        return draws, self.count - before if sampler == "nuts" else steps * each[sampler]


def jax_log_density(name: str, folder: Path) -> Callable[[Any], Any]:
    """Log density of one position of a case in jax."""
    import jax
    import jax.numpy as jnp

    weights = {key: jnp.asarray(value) for key, value in np.load(folder / "nets.npz").items()}
    centres, precision = work.centres(), jnp.asarray(work.precision(), jnp.float32)
    sd, silu = work.well_sd(), jax.nn.silu

    def mixture(x: Any) -> Any:
        return jax.scipy.special.logsumexp(-((x - centres) ** 2).sum(1) / (2 * work.SD**2))

    def double_well(x: Any) -> Any:
        return -work.BARRIER * ((x[0] / work.WELL) ** 2 - 1) ** 2 - 0.5 * (x[1] / sd) ** 2

    def dense(x: Any, key: str) -> Any:
        return weights[f"{key}.weight"] @ x + weights[f"{key}.bias"]

    def mlp(x: Any) -> Any:
        return -dense(silu(dense(silu(dense(x, "mlp.1")), "mlp.3")), "mlp.5")[0]

    def conv2d(x: Any, key: str, stride: int) -> Any:
        out = jax.lax.conv(x[None], weights[f"{key}.weight"], (stride, stride), "SAME")[0]
        return silu(out + weights[f"{key}.bias"][:, None, None])

    def conv(x: Any) -> Any:
        h = conv2d(conv2d(x[None], "conv.0", 1), "conv.2", 2)
        outside = jnp.clip(jnp.abs(x) - 1, 0)
        h = silu(dense(h.reshape(-1), "conv.5"))
        return -dense(h, "conv.7")[0] - (outside**2).sum() / (2 * work.WALL**2)

    def gaussian(x: Any) -> Any:
        return -0.5 * x @ precision @ x

    densities = {"mixture": mixture, "double_well": double_well, "mlp": mlp, "conv": conv}
    return densities.get(name, gaussian)


class BlackJAX:
    """blackjax, all chains and steps in one jitted scan; NUTS with window adaptation per chain."""

    def __init__(self, subject: str, case: Case, folder: Path) -> None:
        import blackjax
        import jax
        import jax.numpy as jnp
        from blackjax.mcmc import diffusions

        self.case, self.jax = case, jax
        density = jax_log_density(case.energy, folder)
        self.start = jnp.asarray(np.load(folder / f"{case.energy}-{case.num_chains}.npy"))
        self.parameters: Any = ()
        """tuned, of each chain"""
        if case.sampler == "nuts":
            kernel = blackjax.nuts.build_kernel()
            adaptation = blackjax.window_adaptation(
                blackjax.nuts, density, initial_step_size=case.step_size
            )

            def init(x: Any) -> Any:
                return blackjax.nuts.init(x, density)

            def step(key: Any, state: Any, tuned: Any) -> Any:
                state, info = kernel(key, state, density, **tuned)
                return state, info.num_integration_steps

            def warm(key: Any, x: Any) -> Any:
                (state, tuned), info = adaptation.run(key, x, case.num_warm_up)
                return state, tuned, info.info.num_integration_steps

            self.warm = jax.jit(jax.vmap(warm))
        elif case.sampler == "ula":
            value = jax.value_and_grad(density)
            move = diffusions.overdamped_langevin(value)

            def init(x: Any) -> Any:
                return diffusions.DiffusionState(x, *value(x))

            def step(key: Any, state: Any, tuned: Any) -> Any:
                return move(key, state, case.step_size), 1
        else:
            mass = jnp.ones(self.start.shape[-1])
            chosen = {
                "hmc": lambda: blackjax.hmc(density, case.step_size, mass, work.NUM_LEAPFROG),
                "mala": lambda: blackjax.mala(density, case.step_size),
            }[case.sampler]()
            init = chosen.init
            each = work.NUM_LEAPFROG if case.sampler == "hmc" else 1

            def step(key: Any, state: Any, tuned: Any) -> Any:
                return chosen.step(key, state)[0], each

        self.first = self.states = jax.vmap(init)(self.start)
        self.run, self.burn = self._run(step), self._burn(step)

    def _run(self, step: Any) -> Any:
        jax, case = self.jax, self.case
        every = max(1, case.keep_every)

        def run(key: Any, states: Any, parameters: Any) -> Any:
            def one(states: Any, key: Any) -> Any:
                keys = jax.random.split(key, case.num_chains)
                states, counts = jax.vmap(step, (0, 0, 0))(keys, states, parameters)
                return states, counts.max()  # chains wait for the longest tree

            def record(states: Any, keys: Any) -> Any:
                states, counts = jax.lax.scan(one, states, keys)
                return states, (states.position, counts.sum())

            keys = jax.random.split(key, (case.num_steps // every, every))
            if case.keep_every:
                _, (draws, counts) = jax.lax.scan(record, states, keys)
                return draws, counts.sum()
            states, counts = jax.lax.scan(one, states, keys[:, 0])
            return states.position[None], counts.sum()

        return jax.jit(run)

    def _burn(self, step: Any) -> Any:
        jax, case = self.jax, self.case

        def burn(key: Any, states: Any) -> Any:
            def one(states: Any, key: Any) -> Any:
                keys = jax.random.split(key, case.num_chains)
                return jax.vmap(lambda k, s: step(k, s, ())[0])(keys, states), None

            return jax.lax.scan(one, states, jax.random.split(key, case.num_warm_up))[0]

        return jax.jit(burn)

    def warm_up(self, seed: int) -> int:
        jax, case = self.jax, self.case
        if not case.num_warm_up:
            return 0
        key = jax.random.key(seed)
        if case.sampler == "nuts":
            keys = jax.random.split(key, case.num_chains)
            self.states, self.parameters, counts = jax.block_until_ready(
                self.warm(keys, self.start)
            )
            return int(counts.max(0).sum())
        self.states = jax.block_until_ready(self.burn(key, self.first))
        return case.num_warm_up

    def draw(self, seed: int) -> tuple[Any, int]:
        key = self.jax.random.key(seed + _JITTER)
        draws, count = self.run(key, self.states, self.parameters)
        return self.jax.block_until_ready(draws), int(count)


def main() -> None:
    subject = sys.argv[1]
    work.pin(int(sys.argv[2]) if len(sys.argv) > 2 else None)
    if subject != "blackjax":
        import torch

        torch.set_num_threads(1)
    made: dict[str, Callable[[str, Case, Path], Subject]] = {
        "torchebm": TorchEBM,
        "ebmkit": EBMKit,
        "blackjax": BlackJAX,
    }
    # work on a GPU takes no CPU time; draws are waited for
    on_gpu = os.environ.get("JAX_PLATFORMS") == "cuda"
    work.serve(made[subject], time.perf_counter if on_gpu else time.process_time)


if __name__ == "__main__":
    main()
