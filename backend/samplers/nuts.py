"""The No-U-Turn sampler, all chains at once."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.energy import Energy
from backend.sampler import Info, Sampler, State, per_chain, temperature_option
from backend.samplers.hmc import TARGET_RATE
from backend.samplers.langevin import normal
from backend.samplers.trees import (
    Point,
    Subtree,
    Tree,
    grown,
    joined,
    picked,
    seed,
    spans,
    sprout,
    trailing_ones,
    turned_across,
    written,
)
from backend.samplers.tuning import ADAPT_ABOUT, mass_extra, tuned

BLOCK = 8
"""Most leapfrog steps between two looks at what they came to; a power of two."""
SMALL = 2**14
"""Most coordinates of all chains together whose leapfrogs are compiled a block at a time."""

TYPICAL_LEAPFROGS = 8
"""Of a trajectory where the step size is right; steps that do not know theirs are counted so."""


class NUTSConfig(KindConfig):
    kind: Literal["nuts"] = "nuts"
    title: ClassVar[str] = "NUTS"
    summary: ClassVar[str] = "Hamiltonian trajectories that end where they turn back: exact, tuned."

    step_size: float = option(
        0.1,
        "Length of one leapfrog step.",
        unit="data sd",
        gt=0,
        le=100,
        main=True,
        log=True,
        group="Sampler",
        turnable=True,
    )
    max_depth: int = option(
        10,
        "Most doublings of a trajectory; each costs as many gradients as all before it.",
        ge=1,
        le=12,
        main=True,
        group="Sampler",
    )
    temperature: float = temperature_option()
    adapt: bool = option(
        True,
        "Tunes the step size and each coordinate's mass in the warm-up, where there is one.",
        group="Sampler",
    )

    def derived(self) -> dict[str, str]:
        longest = 2**self.max_depth - 1
        return {
            "max_depth": f"A trajectory takes at most {longest:,} leapfrog steps and glides at "
            f"most {longest * self.step_size:.3g} data sd.",
            "adapt": ADAPT_ABOUT,
        }


class NUTS(Sampler):
    """p ~ N(0, M); the trajectory doubles, forth or back at random, until it turns; a point is
    drawn from it.

    Leapfrog steps of H(x, p) = E(x)/T + pᵀM⁻¹p/2, as in HMC. A point is drawn with weight exp(−H)
    by multinomial sampling within each new half and biased progressive sampling between the old
    half and the new. A tree ends when it or one of its subtrees turns: pᵀM⁻¹ρ ≤ 0 at either end,
    ρ the sum of its momenta; the same is asked of each half with the nearest point of the other.
    It also ends at a leaf with H more than 1000 above the start (a divergence).

    ε is `extra["step_size"]` and diagonal M⁻¹ `extra["inverse_mass"]` (*event_shape), ones at
    first. Warm-up tunes ε to a mean acceptance of 0.8, the mean Metropolis probability over the
    tree, and sets M⁻¹ to the variances of the chains.

    All chains grow their trees side by side, so a step costs the leapfrogs of the longest. The host
    must know when all have ended: it waits for the device once a doubling, and within doublings of
    more than 8 leaves at 8, 16, ... of them. `tree_depth` and `leapfrogs` are means over chains,
    `divergences` counts chains. Hoffman & Gelman 2014; Betancourt 2017; Phan et al. 2019.
    """

    Config: ClassVar[type[KindConfig]] = NUTSConfig
    exact: ClassVar[bool] = True
    references: ClassVar[str] = "Hoffman & Gelman 2014; Betancourt 2017; Phan et al. 2019"
    config: NUTSConfig

    @property
    def gradients_a_step(self) -> int:
        return TYPICAL_LEAPFROGS

    def init(self, position: Tensor, energy: Energy, generator: torch.Generator) -> State:
        state = super().init(position, energy, generator)
        extra = mass_extra(position, self.config.step_size)
        return state.carrying(**extra, hamiltonian=torch.zeros_like(state.energy))

    def step(self, state: State, energy: Energy, generator: torch.Generator) -> tuple[State, Info]:
        x, depth = state.position, self.config.max_depth
        momentum = normal(x, generator)
        draws = torch.rand(2, depth, len(x), generator=generator, device=x.device, dtype=x.dtype)
        result, num_leapfrog = self._grown(state, energy, momentum, draws, _spawned(generator))
        *drawn, rates, num_leaves, diverged, depths, moved = result
        position, value, gradient = drawn
        figures = {
            "tree_depth": depths.mean(),
            "leapfrogs": num_leaves.mean(),
            "divergences": diverged.sum().to(x.dtype),
        }
        info = Info(rates / num_leaves, moved, position, num_leapfrog, figures)
        kinetic = 0.5 * momentum.square().flatten(1).sum(1)
        extra = {**state.extra, "hamiltonian": state.energy / self.temperature + kinetic}
        return State(position, value, gradient, extra), info

    def tune(self, state: State, info: Info, index: int, num_warm_up: int) -> State:
        if not self.config.adapt:
            return state
        return tuned(state, info.acceptance_rate, index, num_warm_up, TARGET_RATE)

    def _grown(
        self,
        state: State,
        energy: Energy,
        momentum: Tensor,
        draws: Tensor,
        generator: torch.Generator,
    ) -> tuple[tuple[Tensor, ...], int]:
        """Result of the trees (`Tree.result`), and the leapfrog steps run."""
        drift = state.extra["step_size"] * state.extra["inverse_mass"].sqrt()
        tree = seed(state, momentum, self.temperature)
        chains: Tensor | None = None  # those at work; None: all
        result, num_leapfrog = tree.result, 0
        for depth in range(self._max_depth):
            num = int(tree.growing.sum())
            if num == 0:
                break
            if 2 * num <= len(tree.growing):
                result = written(result, chains, tree.result)
                # to a power of two, so that few shapes are ever compiled
                size = 1 << (num - 1).bit_length()
                order = tree.growing.to(torch.int8).argsort(descending=True, stable=True)
                indices = order[:size]
                chains = indices if chains is None else chains[indices]
                tree = picked(tree, indices)
            noise = gumbel((2**depth, len(momentum)), momentum, generator)
            if chains is not None:
                noise = noise[:, chains]
            forward, swap = draws[:, depth] if chains is None else draws[:, depth, chains]
            forward = forward < 0.5
            first, end, subtree, count = self._subtree(tree, energy, forward, drift, noise)
            tree = joined(tree, first, end, subtree, forward, swap)
            num_leapfrog += count
        return written(result, chains, tree.result), num_leapfrog

    @property
    def _max_depth(self) -> int:
        """Most doublings of the next step: 2^depth − 1 leaves must fit into `most_gradients`."""
        most, depth = self.most_gradients, self.config.max_depth
        return depth if most is None else min(depth, (most + 1).bit_length() - 1)

    def _subtree(
        self, tree: Tree, energy: Energy, forward: Tensor, drift: Tensor, noise: Tensor
    ) -> tuple[Tensor, Point, Subtree, int]:
        """First leaf's momentum, last leaf, the half of len(noise) leaves, and the leaves run.

        Leaves come in blocks: within one nothing but leapfrog steps is done, the rest at its end
        for all of it. A pile holds what is needed of the first leaves of larger subtrees that have
        not ended yet: at block n one for every bit set in n, and that of the block itself.
        """
        end, subtree = sprout(tree, forward)
        drift = per_chain(2.0 * forward.to(drift.dtype) - 1.0, end.x) * drift
        half_kick, kick = drift * (0.5 / self.temperature), drift / self.temperature
        num, size = len(noise), min(len(noise), BLOCK)
        checks = spans(size, noise.device)
        pile: list[tuple[Tensor, Tensor, Tensor]] = []
        first, half = end.momentum, end.momentum
        block = partial(self.fused, grown, energy)
        if not _one_piece(energy, end.x):
            block = partial(grown, energy, fused=self.fused)
        for index in range(num // size):
            old, part = subtree, noise[index * size : (index + 1) * size]
            x, half, gradient, opening, *rest = block(
                end.x,
                half,
                end.gradient,
                kick if index else half_kick,
                kick,
                drift,
                *old[1:],
                half_kick,
                tree.hamiltonian,
                part,
                *checks,
                self.temperature,
            )
            end, subtree = Point(x, half, gradient), Subtree(*rest)
            first = first if index else opening
            pile.append((opening, old.momentum, old.total))
            ending = trailing_ones(index)
            if ending:
                ones = [torch.stack(column) for column in zip(*pile[-ending - 1 :], strict=True)]
                turned = turned_across(subtree.momentum, subtree.total, *ones)
                subtree = subtree._replace(valid=subtree.valid & ~turned)
                del pile[-ending:]
            done = (index + 1) * size
            if done < num and done & (done - 1) == 0 and not subtree.valid.any():
                return first, end, subtree, done
        return first, end._replace(momentum=subtree.momentum), subtree, num


def _one_piece(energy: Energy, x: Tensor) -> bool:
    """True where calls cost more than leapfrogs, so that a block of them is compiled as one piece:
    few numbers, and no network, of which eight copies would take long to compile."""
    return x.numel() <= SMALL and next(energy.parameters(), None) is None


def _spawned(generator: torch.Generator) -> torch.Generator:
    """A generator of this step's own, made of the state of the one given, which lies on the host.

    So that how far the longest tree goes changes no later draw of any chain. The draws that the
    step makes from the given one move its state on.
    """
    digest = hashlib.blake2b(generator.get_state().numpy().tobytes(), digest_size=8).digest()
    number = int.from_bytes(digest, "little") >> 1
    return torch.Generator(device=generator.device).manual_seed(number)


def gumbel(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise: where weights are largest with it is drawn in proportion to them."""
    noise = torch.empty(shape, device=like.device, dtype=like.dtype)
    return -noise.exponential_(generator=generator).log()
