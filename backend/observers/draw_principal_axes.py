"""A sampler's chains and draws in the plane of the two longest principal axes of the data."""

from __future__ import annotations

from torch import Tensor

from backend.methods.sampling import Sampling
from backend.observe.context import EVALUATE, Context
from backend.observers.principal_axes import PrincipalAxesObserver
from backend.randomness import generator_of


class DrawPrincipalAxesObserver(PrincipalAxesObserver):
    """`principal/*` of a run that only samples."""

    id = "draw_principal_axes"

    def positions(self, context: Context) -> dict[str, Tensor]:
        """Positions of the chains and, after the warm-up, of the draws that count."""
        subject, method = self.subject, Sampling.of(self.subject.method)
        by_role = {"train_time": method.state.position}
        if not method.warming_up:
            # as the samples are drawn: the same dots in another view
            generator = generator_of(
                "look", subject.seed, context.step, EVALUATE, device=subject.device
            )
            by_role["long_run"] = method.train_time_samples(subject.sizes.num_dots, generator)
        return by_role
