"""Held-out log-likelihood of an energy: the mean of log p(x) = −E(x)/T − log Z over data that were
never trained on, nats a point, x in the user's units. log Z by quadrature in one and two
dimensions, beyond by importance sampling; of images by annealing, both ways."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from backend.data import Data
from backend.distributions import Distribution, build_distribution, too_wide
from backend.distributions.gaussian import FittedGaussianConfig
from backend.distributions.mixture import MixtureConfig
from backend.energy import Energy
from backend.metrics import cubature
from backend.metrics.annealing import Annealing
from backend.metrics.density import CHUNK, energies
from backend.metrics.weighted_points import WeightedPoints, weighed

MAX_HELD_OUT = 10_000
"""Held-out points that are looked at."""
MAX_DIM = 256
"""Coordinates up to which a mixture is fitted to draw from."""
MAX_SITES = 1024
"""Sites up to which log Z of whole numbers is annealed."""
LEAST_ESS = 100.0
"""Effective number of draws below which importance sampling is not believed."""
EDGE = 1e-3
"""Share of the mass at the edge of the box beyond which an energy does not fall off."""
NUM_COMPONENTS = 20
WIDE_SHARE = 0.1
MISSED = 2.0
"""Nats by which the log-weight of a draw of the model may exceed all of those of the proposal."""
MAX_REVERSED = 1000
"""Draws of the model that are annealed back."""
BLUR = 0.03
"""Least standard deviation, in data sd, of the noise that images carry where their density is
asked: pixels take few values, and those that never vary have no density."""
NUM_DEQUANTISED = 3_200
"""Training images with noise on them, at least: few are taken several times."""
MAX_HELD_OUT_IMAGES = 1_000
NUM_IMAGE_CHAINS = 32
NUM_IMAGE_LEAPFROG = 5
"""Leapfrog steps of a move of annealing: pixels are held to fine scales and travel wide ones."""
APART = 1.0
"""Nats that estimates of log Z of images may lie apart and count as one: ways from far away cost
more than those between points, and images more nats than they."""
UNSETTLED = 0.5
"""Nats by which the mean energy of draws may drift and count as settled."""


@dataclass(frozen=True)
class LogLikelihood:
    """Mean log p of held-out points under an energy, nats a point, in the user's units."""

    value: float
    """nan where log Z is not known"""
    error: float
    """standard error: of the mean over points and of log Z together"""
    at_most: float
    """what it is at most, as far as mass was found: estimates of log Z fall short of it"""
    log_z: float
    """log ∫ exp(−E(z)/T) dz over standardised positions, as it was estimated"""
    log_z_error: float
    ess: float
    """effective number of the weighted points"""
    mass_outside: float
    """share of the mass outside the training data's range, widened by a quarter on each side"""
    way: str
    """`quadrature`, `importance sampling` or `annealing`; of whole numbers also `enumeration`"""
    doubt: str
    """a sentence on why log Z is not known; "" where it is"""
    log_probs: Tensor
    """(num,) float64 of each held-out point, by the estimate of log Z"""
    points: WeightedPoints
    """stand for the model"""


def held_out(data: Data) -> Tensor:
    """The held-out points (num, *event_shape), standardised, that log-likelihoods are means of."""
    return data.held_out[:MAX_HELD_OUT]


def log_scale(data: Data) -> float:
    """log |dx/dz|: a log-density over x is that over z less this."""
    return float(data.scale.to(data.train).expand(data.event_shape).double().log().sum())


def refusal(data: Data) -> str:
    """Reason why no log-likelihood is measured on these data; "" when one is."""
    if data.num_values is not None:
        return "Events are whole numbers: they have no density."
    if data.is_image:
        return "Images are too large." if too_wide(data.event_shape) else ""
    if data.event_shape.numel() > MAX_DIM:
        return f"Events have more than {MAX_DIM} coordinates."
    return ""


def value_refusal(data: Data) -> str:
    """Reason why no log-likelihood of whole numbers is measured on these data; "" when one is."""
    if data.num_values is None:
        return "Events are real numbers."
    if data.alphabet:
        return "Text is judged by bits a character."
    if data.event_shape.numel() > MAX_SITES:
        return f"Events have more than {MAX_SITES:,} sites."
    return ""


def pixel_noise(data: Data, noise_sd: float) -> float:
    """Standard deviation, in data sd, of the noise that images carry where their density is asked:
    that which training leaves on them (`noise_sd`) and at least BLUR; of other data 0."""
    return max(BLUR, noise_sd) if data.is_image and data.num_values is None else 0.0


def dequantised(data: Data, noise_sd: float, generator: torch.Generator) -> Data:
    """Images with `pixel_noise` on them, few of them several times; other data as they are."""
    noise_sd = pixel_noise(data, noise_sd)
    if not noise_sd:
        return data
    train, held_out = data.train[:MAX_HELD_OUT], data.held_out[:MAX_HELD_OUT_IMAGES]
    copies = -(-NUM_DEQUANTISED // len(train))
    train = data.noised(train.repeat(copies, *[1] * (train.dim() - 1)), noise_sd, generator)
    held_out = data.noised(held_out, noise_sd, generator)
    return replace(
        data, train=train, held_out=held_out, labels=None, held_out_labels=None, given={}
    )


def log_likelihood(
    energy: Energy,
    data: Data,
    generator: torch.Generator,
    *,
    temperature: float = 1.0,
    num: int = 200_000,
    draws: Tensor | None = None,
    drift: tuple[float, float] = (0.0, 0.0),
) -> LogLikelihood:
    """Of `energy`, of standardised positions, on the held-out part of `data`; images `dequantised`.

    num: about how many energies are evaluated; of images, gradients.
    draws (any number, *event_shape): the model's own samples, such as ends of long chains, mixed or
    not. They may lie where the data do not: quadrature then looks there too, and importance
    sampling draws there too. Where it still has too few draws that count, or none where the model's
    lie, chains are annealed from the proposal to the model and from the draws back; log Z is not
    known where these disagree as well. Images are annealed at once, from a Gaussian fitted to them,
    and have no log Z without draws.
    drift: what the draws' mean energy changed by over their chains' last part, and its error: while
    it falls the mass is elsewhere, and both ways may agree without it; of images only. Raises
    ValueError where `refusal(data)` says why.
    """
    if reason := refusal(data):
        raise ValueError(reason)
    if draws is not None:
        draws = sane(draws, data)
    if data.is_image:
        return _of_images(energy, data, generator, temperature, num, draws, drift)
    if cubature.fits(data):
        points = cubature.integrated(
            energy, data, temperature=temperature, num_nodes=num, also=draws
        )
        doubt = ""
        if not points.edge < EDGE:
            doubt = (
                f"{points.edge:.1%} of the mass lies at the edge of a box 16 times as wide as the "
                "data: the energy does not fall off."
            )
        return likelihood_of(energy, data, temperature, points, "quadrature", doubt)
    proposal = proposal_for(data, generator, draws)
    points = importance(energy, proposal, num, generator, temperature)
    doubt = _doubt(energy, proposal, points, draws, temperature)
    if not doubt or draws is None:
        return likelihood_of(energy, data, temperature, points, "importance sampling", doubt)
    annealing = Annealing(proposal, energy, temperature)
    annealed = annealing.forward(generator)
    doubt = few(annealed, "Annealed importance sampling") or disagreement(
        annealed, *annealing.reverse(draws[:MAX_REVERSED], generator)
    )
    return likelihood_of(energy, data, temperature, annealed, "annealing", doubt)


def _of_images(
    energy: Energy,
    data: Data,
    generator: torch.Generator,
    temperature: float,
    num: int,
    draws: Tensor | None,
    drift: tuple[float, float],
) -> LogLikelihood:
    """log Z in the middle between both ways, half of what they are apart in its error."""
    way = "annealing"
    base = build_distribution(FittedGaussianConfig(scale=1.0), data, generator)
    ways = 1 if draws is None else 2
    num_levels = max(10, num // (ways * NUM_IMAGE_LEAPFROG * NUM_IMAGE_CHAINS))
    annealing = Annealing(
        base, energy, temperature, num_levels=num_levels, num_leapfrog=NUM_IMAGE_LEAPFROG
    )
    points = annealing.forward(generator, NUM_IMAGE_CHAINS)
    if draws is None or len(draws) < NUM_IMAGE_CHAINS:
        doubt = "There are no draws of the model to anneal from in reverse."
        return likelihood_of(energy, data, temperature, points, way, doubt)
    log_z, error = annealing.reverse(draws[:NUM_IMAGE_CHAINS], generator)
    doubt = disagreement(points, log_z, error, APART)
    apart = 0.5 * (log_z - points.log_z)
    error = math.hypot(apart, points.error, error)
    if not doubt and not error <= APART:
        doubt = f"Estimates of log Z have an error of {error:.1f} nats: annealing was too short."
    if not doubt and abs(drift[0]) / temperature > max(UNSETTLED, 3 * drift[1] / temperature):
        doubt = (
            f"The mean energy of the model's long-run chains still changes ({drift[0]:+.1f} over "
            "their last part): the mass may be where they have not arrived yet."
        )
    if not doubt:
        points = WeightedPoints(points.positions, points.log_weights + apart, error)
    return likelihood_of(energy, data, temperature, points, way, doubt)


def likelihood_of(
    energy: Energy,
    data: Data,
    temperature: float,
    points: WeightedPoints,
    way: str,
    doubt: str,
) -> LogLikelihood:
    """The log-likelihood that follows from weighted points that stand for the model."""
    log_z = points.log_z
    values = energies(energy, held_out(data)).double() / temperature
    log_probs = -values - log_z - log_scale(data)
    mean, error = float(log_probs.mean()), float(log_probs.std()) / math.sqrt(len(log_probs))
    if not math.isfinite(mean):
        doubt = doubt or "Energies or their normaliser are not finite."
    return LogLikelihood(
        value=math.nan if doubt else mean,
        error=math.hypot(error, points.error),
        at_most=mean,
        log_z=log_z,
        log_z_error=points.error,
        ess=points.ess,
        mass_outside=points.mass_outside(data),
        way=way,
        doubt=doubt,
        log_probs=log_probs,
        points=points,
    )


def sane(draws: Tensor, data: Data) -> Tensor:
    """Those of the draws that are finite and within 16 ranges of the data."""
    centre = data.train.mean(0)
    reach = 16 * (data.train - centre).abs().amax(0).clamp(min=1e-3)
    return draws[((draws - centre).abs() <= reach).flatten(1).all(1)]


def proposal_for(
    data: Data,
    generator: torch.Generator,
    draws: Tensor | None = None,
    *,
    num_components: int = NUM_COMPONENTS,
    blur: float = 0.0,
) -> Distribution:
    """A mixture fitted to the training data and, in equal parts, to the model's own draws; a wide
    Student's t in it keeps weights bounded (Hesterberg 1995).

    blur: standard deviation of noise put on what is fitted, in data sd: some pixels are constant,
    and a model gives them some spread.
    """
    train = data.train[:MAX_HELD_OUT]
    train = data.noised(train, blur, generator)
    if draws is not None and len(draws):
        repeats = -(-len(train) // len(draws))
        train = torch.cat([train, draws.repeat(repeats, *[1] * (draws.dim() - 1))[: len(train)]])
    most = max(1, len(train) // (10 * data.event_shape.numel()))
    config = MixtureConfig(
        num_components=min(num_components, most), scale=1.0, wide_share=WIDE_SHARE
    )
    return build_distribution(config, replace(data, train=train), generator)


def importance(
    energy: Energy,
    proposal: Distribution,
    num: int,
    generator: torch.Generator,
    temperature: float = 1.0,
) -> WeightedPoints:
    """`num` draws of a proposal q with weights exp(−E/T)/q."""
    z = proposal.sample(num, generator)
    logs = -energies(energy, z).double() / temperature - _log_density(proposal, z)
    logs = logs.nan_to_num(nan=-torch.inf)
    _, error = weighed(logs)
    return WeightedPoints(z, logs - math.log(num), error)


def few(points: WeightedPoints, way: str) -> str:
    """A sentence where an estimate rests on too few draws to be believed."""
    if points.ess >= LEAST_ESS:
        return ""
    return (
        f"{way} is worth {points.ess:.0f} draws, fewer than {LEAST_ESS:.0f}: the model has its "
        "mass where the data do not lead."
    )


def disagreement(points: WeightedPoints, log_z: float, error: float, tolerance: float = 0.2) -> str:
    """A sentence where log Z in reverse, from the model's own draws, is another."""
    if abs(log_z - points.log_z) <= tolerance + 3 * math.hypot(error, points.error):
        return ""
    return (
        f"Two estimates of log Z disagree: {points.log_z:.2f} from the data's side, {log_z:.2f} in "
        "reverse from the model's own draws."
        # the one falls short and the other exceeds log Z on average, where the draws are good
        + (" These have not reached the model's mass." if log_z < points.log_z else "")
    )


def _doubt(
    energy: Energy,
    proposal: Distribution,
    points: WeightedPoints,
    draws: Tensor | None,
    temperature: float,
) -> str:
    """A sentence where importance sampling is not to be believed."""
    doubt = few(points, "Importance sampling")
    if doubt or draws is None or not len(draws):
        return doubt
    # no estimate in reverse, a mean of exp(E): chains that have not arrived yet would be all of it
    values = energies(energy, draws).double() / temperature
    log_weights = (-values - _log_density(proposal, draws)).nan_to_num(nan=-torch.inf)
    largest = float(points.log_weights.max()) + math.log(len(points.log_weights))
    if not float(log_weights.max()) > largest + MISSED:
        return ""
    return (
        "The model's own draws lie where importance sampling has next to none: log Z is larger "
        "than it was estimated."
    )


def _log_density(proposal: Distribution, z: Tensor) -> Tensor:
    """log q (num,) float64, a chunk at a time."""
    return torch.cat([proposal.log_prob(part.double()).double() for part in z.split(CHUNK)])
