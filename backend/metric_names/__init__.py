"""Meaning of each scalar path: its title, unit, axis and which way is better.

A chart is a path and its companions: `quality/energy_distance/long_run`, `/train_time` and the
reference lines `/floor` and `/goal` belong to the chart `quality/energy_distance`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Companion:
    """A series or a reference line of a chart, named by the last segment of its path."""

    title: str
    reference: bool = False
    """a line to compare with, not a figure of the run"""


ERRORS = ("error/mode_weights", "error/mean", "error/variance", "error/log_z", "error/energy")
"""Errors of a run's draws against what is known of its target, the most telling first."""
COMPANIONS: dict[str, Companion] = {
    "long_run": Companion("long-run"),
    "train_time": Companion("train-time"),
    "floor": Companion("floor", reference=True),
    "goal": Companion("goal", reference=True),
    "at_most": Companion("at most"),
    "first_step": Companion("after the first inner step"),
    "last_step": Companion("after the last inner step"),
    "clip": Companion("clip", reference=True),
    "data_noise": Companion("data noise alone", reference=True),
    "class_gaussian": Companion("a Gaussian a class", reference=True),
    "mean_event": Companion("mean of the data", reference=True),
    "linear": Companion("least squares", reference=True),
    "context": Companion("the context itself", reference=True),
    "gaussian": Companion("one Gaussian", reference=True),
    "mixture": Companion("Gaussian mixture", reference=True),
    "kernel": Companion("kernel estimate", reference=True),
    "independent": Companion("independent sites", reference=True),
    "truth": Companion("truth", reference=True),
    "natural": Companion("natural"),
    "attacked": Companion("under attack"),
    "targeted": Companion("attacked towards a class"),
    "uniform": Companion("uniform noise"),
    "shuffled": Companion("shuffled"),
    "inverted": Companion("inverted"),
    "rot90": Companion("turned by 90°"),
    "rot180": Companion("turned by 180°"),
}
"""By the last segment of a path that is no chart of its own."""

BASELINES = {
    "gaussian": "one Gaussian",
    "mixture": "a mixture of Gaussians",
    "kernel": "a kernel estimate",
    "independent": "independent sites",
}
"""Densities that cost next to nothing, in sentences."""

NUM_SAMPLES = "quality/num_samples"
"""Samples that the figures of `quality` with a floor compare, from the step of the value on: fewer
while a run trains than in its final figures, of which distances and their floors depend."""

HEADLINES: dict[str, tuple[str, ...]] = {
    "run": (
        "quality/grid_kl",
        "density/log_likelihood",
        "quality/frechet_features",
        "quality/frechet_pca",
        "quality/energy_distance",
        "energy/gap",
        "optimiser/gradient_norm",
        "sampler/acceptance_rate",
        "loss/total",
        "energy/model",
    ),
    "compare": (
        "quality/grid_kl",
        "density/log_likelihood",
        "quality/frechet_pca/long_run",
        "quality/energy_distance/long_run",
        "outcome/on_branch",
        "outcome/success",
        "prediction/bits",
        "prediction/psnr",
        "prediction/squared_error",
        "energy/gap",
        "loss/total",
        "energy/model",
    ),
    "race": (
        "sampler/r_hat",
        "sampler/bulk_ess",
        "quality/energy_distance/long_run",
        "energy/model",
    ),
}
"""Paths that each page draws first, best first: of a run after its method's own, of several, and of
samplers whose target has no known truth."""


ANSWERS: dict[str, str] = {
    "held_out": "Held-out data",
    "filled": "Filled in",
    "mse": "Squared error of a draw",
    "mse_mean": "Squared error of the mean",
    "nll": "Negative log-likelihood",
    "norm": "Mean length",
    "norm_median": "Median length",
    "norm_largest": "Largest length",
    "stein": "Mean of −z·score over dimensions",
    "r_hat": "Split R-hat",
    "weight_ess": "Effective share of the weights",
    "edge_mass": "Share at the edge of the box",
    "not_finite": "Share not finite",
    "roc": "ROC",
    "neighbours_alike": "Nearest neighbours of the same run",
    "neighbours_alike/chance": "As many by chance",
    "p_value": "p-value of the neighbours",
    "map_p_value": "p-value of the map",
    "energy_gap_this": "Other's draws above this run's, by this energy",
    "energy_gap_other": "Other's draws above this run's, by the other's energy",
    "other_samples": "The other's samples",
    "share_of_other": "Share of the other's draws",
    "beyond_chance": "The share, where it is beyond chance",
    "probabilities_model": "Concepts by class, by the run",
    "probabilities_data": "Concepts by class, held-out data",
    "ways": "Thinking",
    "by_step": "By thinking steps",
    "above_truth": "Energies of answers",
    "energies": "Energies",
    "paths": "Undisturbed",
    "shoved_paths": "Shoved",
    "film": "Film",
    "energy_this": "This run's energy of both",
    "energy_other": "The other's energy of both",
}
"""Names of pictures and figures of answers that are no figures of a run."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Name and drawing of a scalar."""

    title: str
    unit: str = ""
    log: bool = False
    better: str = ""
    """lower, higher, or "" where neither is better"""
    help: str = ""


def chart_of(path: str) -> str:
    """The chart a path is drawn in.

    >>> chart_of("quality/energy_distance/floor")
    'quality/energy_distance'
    """
    head, _, tail = path.rpartition("/")
    return head if tail in COMPANIONS else path


FIGURES: dict[str, Figure] = {
    "loss/total": Figure("Loss", help="What the optimiser minimises; not a quality measure."),
    "energy/data": Figure("Mean energy of data", "nats"),
    "energy/model": Figure("Mean energy of train-time samples", "nats"),
    "energy/gap": Figure(
        "Energy gap, data − samples", "nats", help="Healthy training oscillates around 0."
    ),
    "energy/max": Figure("Largest |E| in the batch", "nats", log=True),
    "energy/noise": Figure("Mean energy of noise", "nats"),
    "log_z/estimate": Figure(
        "Estimate of log Z",
        "nats",
        help="That training keeps; of energies of whole numbers by annealing from independent "
        "sites, which falls short on average.",
    ),
    "log_z/reverse": Figure(
        "log Z in reverse", "nats", help="From the run's own draws: too high on average."
    ),
    "log_z/apart": Figure("Distance of both ways to log Z", "nats", log=True, better="lower"),
    "log_z/exact": Figure("Exact log Z", "nats"),
    "log_z/error": Figure("Error of log Z", "nats", log=True, better="lower"),
    "parameter/location": Figure("Location", "data sd", help="The mean that is learned."),
    "parameter/error": Figure(
        "Distance to the true mean", "units of the data", log=True, better="lower"
    ),
    "optimiser/gradient_norm": Figure("Gradient norm", log=True),
    "optimiser/learning_rate": Figure("Learning rate", log=True),
    "sampler/acceptance_rate": Figure("Acceptance rate", better=""),
    "sampler/gradient_to_noise": Figure(
        "Sampler gradient against noise",
        log=True,
        help="Length of the drift over the length of the noise in one step: far below 1 is a "
        "random walk, far above 1 is plain descent.",
    ),
    "sampler/radius": Figure("Chain radius", "data sd"),
    "sampler/r_hat": Figure("Split R-hat", better="lower"),
    "sampler/bulk_ess": Figure("Bulk effective sample size", better="higher"),
    "sampler/tail_ess": Figure("Tail effective sample size", better="higher"),
    "sampler/autocorrelation_time": Figure(
        "Autocorrelation time", "steps", log=True, better="lower"
    ),
    "sampler/ess_per_kilogradient": Figure(
        "ESS per 1k gradients of a chain", log=True, better="higher"
    ),
    "sampler/ess_per_second": Figure("ESS per second", log=True, better="higher"),
    "sampler/ess_per_joule": Figure("ESS per joule", log=True, better="higher"),
    "sampler/e_bfmi": Figure("E-BFMI", better="higher"),
    "sampler/step_size": Figure("Step size", "data sd", log=True),
    "sampler/divergences": Figure("Divergences so far", better="lower"),
    "sampler/tree_depth": Figure("Tree depth"),
    "sampler/leapfrogs": Figure("Leapfrog steps a trajectory"),
    "sampler/swap_rate": Figure("Swap rate, mean over pairs"),
    "sampler/swap_rate_min": Figure("Swap rate, worst pair"),
    "sampler/round_trips": Figure("Round trips so far", better="higher"),
    "sampler/beta": Figure("Inverse temperature on the way"),
    "sampler/log_z": Figure("Estimate of log Z", "nats"),
    "sampler/log_weight_sd": Figure("Spread of the log-weights", "nats, sd", better="lower"),
    "sampler/weight_ess": Figure("Effective share of the weights", better="higher"),
    "sampler/resamplings": Figure("Resamplings so far"),
    "sampler/ancestors": Figure("Share of distinct ancestors", better="higher"),
    "sampler/sites_changed": Figure("Share of sites changed in a step"),
    "sampler/largest_cluster": Figure("Largest cluster", "share of sites"),
    "sampler/gradient_alignment": Figure("Drift along −∇E", "cosine", better="higher"),
    "error/mean": Figure(
        "Error of the running mean",
        "target sd",
        log=True,
        better="lower",
        help="The coordinate furthest from the truth. The floor is what as many independent exact "
        "draws would give.",
    ),
    "error/variance": Figure("Error of the running variance", "ratio", log=True, better="lower"),
    "error/energy": Figure("Error of the mean energy", "nats", log=True, better="lower"),
    "error/mode_weights": Figure(
        "Error of the mode weights", "total variation", log=True, better="lower"
    ),
    "error/functions": Figure("Error of the known functions", "their sd", log=True, better="lower"),
    "error/log_z": Figure("Error of log Z", "nats", log=True, better="lower"),
    "classification/accuracy": Figure(
        "Accuracy on held-out data",
        "share",
        better="higher",
        help="The floor is what the most frequent class alone would have.",
    ),
    "classification/log_loss": Figure(
        "−log p of the true class, held out", "nats", log=True, better="lower"
    ),
    "classification/calibration_error": Figure(
        "Expected calibration error",
        "share",
        better="lower",
        help="How far the confidence in the most likely class is from how often it is right, over "
        "15 bins of it. Of few data it is above 0 for a calibrated classifier too.",
    ),
    "density/log_likelihood": Figure(
        "Held-out log-likelihood",
        "nats a point",
        better="higher",
        help="Mean log p of held-out points in the data's units, exp(−E) normalised by quadrature "
        "or weighted draws, of whole numbers by enumeration or annealing. Below one Gaussian, or "
        "below independent sites, it is no density.",
    ),
    "density/log_likelihood_error": Figure(
        "Standard error of the held-out log-likelihood",
        "nats a point",
        log=True,
        better="lower",
        help="Of the mean over points and of log Z together.",
    ),
    "density/log_z_error": Figure(
        "Error of log Z", "nats", log=True, better="lower", help="Standard error, or a bound."
    ),
    "density/ess": Figure("Effective number of the points log Z comes from", better="higher"),
    "density/mass_outside": Figure(
        "Mass outside the data's range",
        "share",
        better="lower",
        help="Of exp(−E), outside the range of the training data and a quarter of it more on each "
        "side.",
    ),
    "density/cluster_error": Figure(
        "Error of the masses of clusters",
        "total variation",
        better="lower",
        help="Shares of exp(−E) nearest to each of eight clusters of the data, or to each known "
        "mode, against the data's.",
    ),
    NUM_SAMPLES: Figure("Samples that distances compare"),
    "quality/grid_kl": Figure("KL to the true density", "nats", log=True, better="lower"),
    "quality/l1": Figure(
        "Distance to the true distribution",
        "Σ |p − q|",
        log=True,
        better="lower",
        help="Over all states, exactly; at most 2. A sampler's own is of the shares of all draws.",
    ),
    "quality/energy_distance": Figure(
        "Energy distance to held-out data", "squared, data sd", log=True, better="lower"
    ),
    "quality/mmd": Figure("MMD² to held-out data", log=True, better="lower"),
    "quality/sliced_wasserstein": Figure(
        "Sliced Wasserstein-2 to held-out data", "data sd", log=True, better="lower"
    ),
    "quality/mode_share": Figure("Share within 2 sd of a mode"),
    "quality/frechet_pca": Figure(
        "Fréchet distance",
        "20-d PCA of pixels",
        log=True,
        better="lower",
        help="Read it beside that of features: either alone is fooled. It falls with the number of "
        "samples, so compare equal numbers.",
    ),
    "quality/frechet_features": Figure(
        "Fréchet distance in features",
        "of a classifier",
        log=True,
        better="lower",
        help="Of digits, in 16 features of a classifier that comes with Basin. Read it beside that "
        "of pixels: either alone is fooled. It falls with the number of samples. Other images "
        "have it at the end of a run where BASIN_INCEPTION names a network; else their pixels "
        "alone are compared.",
    ),
    "quality/kernel_features": Figure(
        "Kernel distance in features",
        "MMD², cubic kernel",
        better="lower",
        help="Near 0 for perfect samples of any number, and then below as often as above, or more "
        "often where classes have fixed shares. Read it beside that of pixels: either alone is "
        "fooled.",
    ),
    "quality/kernel_pixels": Figure(
        "Kernel distance in pixels",
        "MMD², cubic kernel",
        better="lower",
        help="Near 0 for perfect samples of any number, and then below as often as above, or more "
        "often where classes have fixed shares. Read it beside that of features: either alone is "
        "fooled.",
    ),
    "quality/precision": Figure(
        "Precision",
        "share of samples",
        better="higher",
        help="Samples nearer to some held-out image than its fifth neighbour is, in features. "
        "Alone it is fooled by one good sample repeated: read it beside recall.",
    ),
    "quality/recall": Figure(
        "Recall",
        "share of held-out images",
        better="higher",
        help="Held-out images nearer to some sample than its fifth neighbour is, in features. "
        "Alone it is fooled by samples all over the place: read it beside precision.",
    ),
    "quality/density": Figure(
        "Density",
        "1 for perfect samples",
        better="higher",
        help="Held-out balls, each to the fifth neighbour, that a sample is in, over 5, in "
        "features. As precision, but one stray held-out image does not spoil it; above 1 where "
        "samples crowd.",
    ),
    "quality/coverage": Figure(
        "Coverage",
        "share of held-out images",
        better="higher",
        help="Held-out images with a sample nearer than their fifth neighbour, in features. "
        "Samples all over the place do not raise it.",
    ),
    "quality/label_accuracy": Figure(
        "Samples labelled as asked for",
        "share",
        better="higher",
        help="By a classifier that had no part in the training. 1.0 is had without diversity too: "
        "read it beside the spread within a class.",
    ),
    "quality/label_spread": Figure(
        "Spread within a class",
        "sd of features",
        help="Real images have a spread too: far below it samples of a class are all alike, far "
        "above it they stray.",
    ),
    "prediction/psnr": Figure(
        "PSNR of predictions",
        "dB",
        better="higher",
        help="Of held-out images, by one prediction each. Least squares cost no training.",
    ),
    "prediction/squared_error": Figure(
        "Squared error of predictions",
        "standardised",
        log=True,
        better="lower",
        help="Of held-out events, the mean over coordinates, by one prediction each. Least squares "
        "cost no training.",
    ),
    "inner/energy_drop": Figure("Energy lost in thinking, held out", unit="nats"),
    "rank/noisy": Figure(
        "Truth below itself made noisy",
        "share",
        better="higher",
        help="By the energy, in the same context. Energies of different contexts do not compare.",
    ),
    "rank/ordered": Figure(
        "Truth below noisy below noise",
        "share",
        better="higher",
        help="By the energy, in the same context.",
    ),
    "quality/out_of_range": Figure("Pixels out of range", "share", better="lower"),
    "system/cpu": Figure("CPU cores at work", "cores", help="By the run's own process."),
    "system/memory": Figure("Memory", "GB", help="Resident, of the run's own process."),
    "system/disk": Figure("Written to disk", "MB/s", help="By the run's own process."),
    "system/gpu": Figure("Device at work", "%", help="By all that computes on it."),
    "system/gpu_memory": Figure("Device memory", "GB", help="Taken by all that is on it."),
    "system/power": Figure(
        "Power", "W", help="Of the device or the CPU package, by its own counter or meter."
    ),
}
