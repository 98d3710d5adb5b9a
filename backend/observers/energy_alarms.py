"""Alarms about an energy, its chains and its samples."""

from __future__ import annotations

from collections.abc import Iterable

from backend.events import Event, Finding
from backend.metrics.density import energies
from backend.observe import alarms
from backend.observe.context import Context, Subject
from backend.observe.observer import Observer


class EnergyAlarmsObserver(Observer):
    """`alarm/*`."""

    id = "energy_alarms"
    needs_energy = True

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._alarms = alarms.Alarms()

    def measure(self, context: Context) -> Iterable[Event]:
        findings = [
            *self._of_energies(context),
            *self._of_samples(context),
            *self._of_chains(context),
        ]
        return self._alarms.say(findings, final=context.is_final)

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
        if data.modes is not None and bool(position.isfinite().all()):
            findings += alarms.missed_modes(data.restore(position), data.modes)
        return findings

    def _of_chains(self, context: Context) -> list[Finding]:
        chains, health = context.long_run, context.health
        # Chains of a trained energy need not cross between modes; their energies must settle.
        what, value = "their energy", health.r_hat_energy
        if not self.subject.method.trains:
            what, value = "their worst coordinate", health.r_hat
        moved = (chains.path[-1] - chains.path[0]).flatten(1).norm(dim=1).mean()
        return alarms.unmixed(value, what) + alarms.stuck(chains.acceptance_rate, float(moved))
