"""Held-out data under attack, and how well the energy tells outliers: a classifier's robustness."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from backend.events import Event, Images, Scalar, Table
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
LOOKS = 3
"""Images of each kind that is unlike the data."""
NORMS = {"linf": "L∞", "l2": "L2"}
CALLED = ["true class", "called", "called under attack", "energy", "energy under attack"]
OUTLIERS = ["outliers", "AUROC of the energy", "AUROC of the largest class probability"]


class RobustnessObserver(Observer):
    """`classification/accuracy/attacked`; `energy/under_attack` of natural events and of such under
    an untargeted attack and one towards the next class; `outliers/auroc` of the energy.

    The ball is that of the method's own attack, else one of 0.2 data sd in every coordinate. Of
    images also one of each class as it is and as attacked in either norm, and what each is called;
    of all a table of which class is called which, and one of how well outliers are told by energy
    and by the largest class probability.
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
            yield from self._shown(sets["attacked"], of, labels, context)
        for name, value in of.items():
            role = "natural" if name == "data" else name
            yield Scalar(f"energy/under_attack/{role}", float(value.mean()))
        unlike = outliers.made(data, z, generator)
        of_unlike = {kind: energies(context.energy, x) for kind, x in unlike.items()}
        for kind, value in of_unlike.items():
            yield Scalar(f"outliers/auroc/{kind}", auroc(of["data"], value))
        yield from self._outliers({"held out": z, **unlike}, {"held out": of["data"], **of_unlike})
        of["noise"] = of_unlike["uniform"]
        yield pictures.histogram("attack/energies", of, NUM_BINS)

    def _outliers(self, sets: dict[str, Tensor], of: dict[str, Tensor]) -> Iterable[Event]:
        """A table of how well each kind is told from the first, and images of each in a row."""
        method, data = self.subject.method, self.subject.data
        log_probs = {name: method.class_log_probs(x) for name, x in sets.items()}
        first, *kinds = sets
        rows: list[list[str | float | int | None]] = []
        for kind in kinds:
            told_by: list[str | float | int | None] = [kind, auroc(of[first], of[kind])]
            real, other = log_probs[first], log_probs[kind]
            if real is not None and other is not None:
                told_by.append(auroc(-real.amax(1), -other.amax(1)))
            rows.append(told_by)
        yield Table("outliers/known", OUTLIERS[: len(rows[0])], rows)
        if not data.is_image:
            return
        x = torch.stack([each[:LOOKS] for each in sets.values()], 1).flatten(0, 1)
        value = torch.stack([each[:LOOKS] for each in of.values()], 1).flatten()
        images = pictures.cloud(
            "outliers/looks", data, x, "noise", value, num_dots=0, num_cells=len(x)
        )
        assert isinstance(images, Images)
        yield replace(images, columns=[*sets])

    def _shown(
        self, attacked: Tensor, of: dict[str, Tensor], labels: Tensor, context: Context
    ) -> Iterable[Event]:
        """The first image of each class, natural and attacked in either norm, and tables of what
        they are called, of their energies and of the attacks."""
        data, known = self.subject.data, labels.tolist()
        places = [known.index(label) for label in sorted(set(known))[:MOST_SHOWN]]
        index = torch.tensor(places, device=labels.device)
        own = self._attack()
        other = attacks.in_other_norm(own, data.event_shape.numel())
        generator = context.own_generator(f"{self.id}, other norm")
        z, truth = data.held_out[index], labels[index]
        x = attacks.attacked(self._log_probs, z, truth, other, data, generator)
        views = {
            "natural": (z, of["data"][index]),
            "attacked": (attacked[index], of["attacked"][index]),
            "attacked_other": (x, energies(context.energy, x)),
        }
        called = {}
        for name, (x, value) in views.items():
            role = "data" if name == "natural" else "noise"
            images = pictures.cloud(
                f"attack/{name}", data, x, role, value, num_dots=0, num_cells=MOST_SHOWN
            )
            assert images is not None
            yield images
            called[name] = self._log_probs(x).argmax(1).tolist()
        names = data.label_names or tuple(str(label) for label in range(data.num_labels))
        for path, name in (("called", "attacked"), ("called_other", "attacked_other")):
            columns = (places, called["natural"], called[name])
            values = (views["natural"][1].tolist(), views[name][1].tolist())
            rows: list[list[str | float | int | None]] = [
                [names[known[place]], names[before], names[after], *energy]
                for place, before, after, *energy in zip(*columns, *values, strict=True)
            ]
            yield Table(f"attack/{path}", CALLED, rows)
        norms: list[list[str | float | int | None]] = [
            [NORMS[each.norm], float(f"{each.radius:.3g}")] for each in (own, other)
        ]
        yield Table("attack/norms", ["norm", "radius"], norms)

    def _attack(self) -> attacks.AttackConfig:
        own = getattr(self.subject.method.config, "attack", None)
        ball = own if isinstance(own, attacks.AttackConfig) else attacks.AttackConfig()
        return attacks.AttackConfig(norm=ball.norm, radius=ball.radius, num_steps=NUM_STEPS)

    def _attacked(self, z: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Events z (num, *event_shape) under either attack."""
        config = self._attack()
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
