"""Held-out data under attack, and how well the energy tells outliers: a classifier's robustness."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from backend.events import Event, Scalar, Table
from backend.metrics import classification, outliers
from backend.metrics.density import energies
from backend.metrics.detection import auroc
from backend.objectives import attacks
from backend.observe import pictures
from backend.observe.context import Context
from backend.observe.observer import Observer
from backend.observers.classification import confusion_table

MOST = 256
"""Held-out events that are attacked at most."""
NUM_STEPS = 10
NUM_BINS = 48
MOST_SHOWN = 10
"""Images that are shown beside what an attack makes of them, one of each class."""
CALLED = ["true class", "called", "called under attack", "energy", "energy under attack"]


class RobustnessObserver(Observer):
    """`classification/accuracy/attacked`; `energy/under_attack` of natural events and of such under
    an untargeted attack and one towards the next class; `outliers/auroc` of the energy.

    The ball is that of the method's own attack, else one of 0.2 data sd in every coordinate. Of
    images also one of each class as it is and as attacked, and what either is called; of all a
    table of which class is called which.
    """

    id = "robustness"

    def measure(self, context: Context) -> Iterable[Event]:
        data = self.subject.data
        labels = data.held_out_labels
        z = data.held_out[:MOST]
        if data.num_values is not None:
            return
        generator = context.own_generator(self.id)
        sets = {"data": z}
        if labels is not None and self.subject.method.class_log_probs(z[:1]) is not None:
            labels = labels[:MOST]
            sets |= self._attacked(z, labels, generator)
            log_probs = self._log_probs(sets["attacked"])
            right = classification.accuracy(log_probs, labels)
            yield Scalar("classification/accuracy/attacked", right)
            counts = classification.confusion(log_probs, labels)
            yield confusion_table(data, counts, "attack/confusion")
        if not context.has_energy:
            return
        of = {name: energies(context.energy, x) for name, x in sets.items()}
        if labels is not None and "attacked" in sets and data.is_image:
            yield from self._shown(sets, of, labels)
        for name, value in of.items():
            role = "natural" if name == "data" else name
            yield Scalar(f"energy/under_attack/{role}", float(value.mean()))
        unlike = outliers.made(data, z, generator)
        of_unlike = {kind: energies(context.energy, x) for kind, x in unlike.items()}
        for kind, value in of_unlike.items():
            yield Scalar(f"outliers/auroc/{kind}", auroc(of["data"], value))
        of["noise"] = of_unlike["uniform"]
        yield pictures.histogram("attack/energies", of, NUM_BINS)

    def _shown(
        self, sets: dict[str, Tensor], of: dict[str, Tensor], labels: Tensor
    ) -> Iterable[Event]:
        """The first image of each class, natural and attacked, and a table of what they are called
        and of their energies."""
        data, known = self.subject.data, labels.tolist()
        places = [known.index(label) for label in sorted(set(known))[:MOST_SHOWN]]
        index = torch.tensor(places, device=labels.device)
        called, energy = [], []
        for name, role in (("data", "data"), ("attacked", "noise")):
            x, value = sets[name][index], of[name][index]
            path = f"attack/{'natural' if name == 'data' else name}"
            images = pictures.cloud(path, data, x, role, value, num_dots=0, num_cells=MOST_SHOWN)
            assert images is not None
            yield images
            called.append(self._log_probs(x).argmax(1).tolist())
            energy.append(value.tolist())
        names = data.label_names or tuple(str(label) for label in range(data.num_labels))
        rows: list[list[str | float | int | None]] = [
            [names[known[place]], names[before], names[after], *values]
            for place, before, after, *values in zip(places, *called, *energy, strict=True)
        ]
        yield Table("attack/called", CALLED, rows)

    def _attacked(self, z: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Events z (num, *event_shape) under either attack."""
        own = getattr(self.subject.method.config, "attack", None)
        ball = own if isinstance(own, attacks.AttackConfig) else attacks.AttackConfig()
        config = attacks.AttackConfig(norm=ball.norm, radius=ball.radius, num_steps=NUM_STEPS)
        num_labels = self._log_probs(z[:1]).shape[1]
        aims = {"attacked": None, "targeted": attacks.next_labels(labels, num_labels)}
        return {
            name: attacks.attacked(
                self._log_probs, z, labels, config, self.subject.data, generator, targets=targets
            )
            for name, targets in aims.items()
        }

    def _log_probs(self, z: Tensor) -> Tensor:
        log_probs = self.subject.method.class_log_probs(z)
        assert log_probs is not None
        return log_probs
