"""Alarms about an energy, its chains and its samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from backend.events import Event, Finding
from backend.metrics.density import energies
from backend.observe import alarms, density_alarms
from backend.observe.context import Context, Subject
from backend.observe.observer import Observer
from backend.observers.ground_truth import GRID_KL_GOAL


class EnergyAlarmsObserver(Observer):
    """`alarm/*`."""

    id = "energy_alarms"
    needs_energy = True

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._alarms = alarms.Alarms(is_short=subject.is_short)

    def measure(self, context: Context) -> Iterable[Event]:
        findings = [
            *self._of_energies(context),
            *self._of_samples(context),
            *self._of_chains(context),
        ]
        if self._density_is_good(context):  # then none of this is the energy's fault
            findings = [replace(item, level="info") for item in findings]
        return self._alarms.say(findings, final=context.is_final, share_spent=context.share_spent)

    def _density_is_good(self, context: Context) -> bool:
        # better than independent sites is not good yet
        if self.subject.no_likelihood or self.subject.data.num_values is not None:
            return False
        beside = self.subject.beside
        return density_alarms.is_good(context.log_likelihood, beside.baselines, beside)

    def _of_energies(self, context: Context) -> list[Finding]:
        data, num = self.subject.data, self.subject.sizes.num_energies
        held_out = float(energies(context.energy, data.held_out[:num]).mean())
        noise = float(energies(context.energy, data.noise(num, context.generator)).mean())
        ran_away = alarms.runaway(context.long_run.position, self.subject.data_radius)
        return ran_away + alarms.upside_down(held_out, noise)

    def _of_samples(self, context: Context) -> list[Finding]:
        data, position = self.subject.data, context.long_run.position
        path = "quality/energy_distance/"
        findings = []
        if (long_run := context.figures.get(path + "long_run")) is not None:
            findings += self._alarms.relapse(long_run, context.step)
            if path + "train_time" in context.figures:
                floor = self.subject.floors.get("energy_distance", 0.0)
                findings += alarms.flattery(context.figures[path + "train_time"], long_run, floor)
            final_floor = context.figures.get("quality/energy_distance/floor")
            if context.is_final and final_floor is not None:
                findings += density_alarms.off_floor(long_run, final_floor)
        kl = context.figures.get("quality/grid_kl")
        if context.is_final and kl is not None:
            findings += density_alarms.off_goal(kl, GRID_KL_GOAL)
        if data.modes is not None and bool(position.isfinite().all()):
            findings += alarms.missed_modes(data.restore(position), data.modes)
        return findings

    def _of_chains(self, context: Context) -> list[Finding]:
        chains, health = context.long_run, context.health
        moved = (chains.path[-1] - chains.path[0]).flatten(1).norm(dim=1).mean()
        stuck = alarms.stuck(chains.acceptance_rate, float(moved))
        # Chains of a trained energy need not cross between modes; their energies must settle.
        findings = alarms.unmixed(health.r_hat_energy, "their energy")
        judged_apart = self.subject.no_likelihood or self.subject.data.num_values is not None
        if findings and not (self.subject.data.is_image or judged_apart):
            return stuck + self._off_the_model(context)
        return stuck + findings

    def _off_the_model(self, context: Context) -> list[Finding]:
        """R-hat alone cannot tell modes that are not crossed from samples that are wrong."""
        beside, points = self.subject.beside, context.log_likelihood.points
        position = context.long_run.position
        masses = beside.masses(points.positions, points.shares)
        return density_alarms.off_the_model(masses, beside.masses(position.nan_to_num()))
