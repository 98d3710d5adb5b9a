"""Names of pictures and tables that runs draw."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Picture:
    """Name of a picture or a table that a run draws, and how it is read."""

    title: str
    help: str = ""


PICTURES: dict[str, Picture] = {
    "classification/confusion": Picture("Which class is called which"),
    "attack/confusion": Picture("Which class is called which under attack"),
    "attack/energies": Picture("Energies of held-out data and of what is none"),
    "outliers/known": Picture(
        "Outliers told from held-out data", "Half is chance: neither likelier nor less likely."
    ),
    "outliers/looks": Picture("Outliers", "Under each its energy: lower is likelier."),
    "target/mean_value": Picture(
        "Mean value of an event", "Of a lattice of spins: its magnetisation."
    ),
    "target/energy": Picture("Energy of the target"),
    "marginals/log_prob": Picture("log p of draws, learned and exact"),
    "distribution/states": Picture("Probabilities of the likeliest states"),
    "clusters/map": Picture("Clusters"),
    "clusters/shares": Picture("Shares of the clusters"),
    "clusters/confusion": Picture("Which cluster holds which class"),
    "concepts/known": Picture("Called rightly, by how many concepts are known"),
    "concepts/probabilities_model": Picture("Concepts by class, by the model"),
    "concepts/probabilities_data": Picture("Concepts by class, held-out data"),
    "inference/energies": Picture("Energies as an answer is descended to"),
    "inner/above_truth": Picture(
        "Energies of answers",
        "Above that of the true answer, each in its own context: what a context adds is gone.",
    ),
    "inner/energy": Picture("Energy as it thinks", "Above that of the true answer of each."),
    "inner/ways": Picture("Thinking", "Under each the energy above that of the true answer."),
    "inner/psnr": Picture("PSNR as it thinks"),
    "inner/squared_error": Picture("Squared error as it thinks"),
    "inner/bits": Picture("Bits a character as it thinks"),
    "memory/overlaps": Picture("Overlaps of cues, before and now"),
    "memory/stored": Picture("Stored"),
    "memory/cue": Picture("Cues"),
    "memory/state": Picture("Recalled so far"),
    "memory/cues": Picture("Some cues"),
    "failures/inputs": Picture("Likeliest inputs, and all that fail"),
    "prediction/given": Picture("Given"),
    "prediction/true": Picture("True"),
    "prediction/predicted": Picture("Predicted"),
    "future/landscape": Picture("Energy of what may follow, of one context"),
    "future/paths": Picture("Paths to predictions, of one context"),
    "future/ways": Picture("Thinking, of one context", "From starts to predictions."),
    "future/cut": Picture(
        "Energy across the fork, of one context",
        "Along the line through both futures; short strokes are predictions.",
    ),
    "future/probabilities": Picture(
        "Where predictions land",
        "Least squares is a regressor that costs nothing to fit.",
    ),
    "prediction/text": Picture(
        "Held-out text", "Shaded: characters that were called less likely than others."
    ),
    "quality/final": Picture("Final figures"),
    "chains/diagnostics": Picture("Chains"),
    "chains/trace": Picture(
        "Trace of the energy", "Chains that mix lie over one another; those that drift have not."
    ),
    "chains/ranks": Picture(
        "Rank plot", "Ranks of a chain's energies among those of all: flat where chains mix."
    ),
    "chains/autocorrelation": Picture(
        "Autocorrelation of the energy",
        "Where it reaches 0 draws are independent. It never does of chains that stay apart.",
    ),
    "chains/ess_growth": Picture(
        "Effective sample size by draws",
        "It grows in proportion to the draws where chains mix. Of the figure with the largest "
        "R-hat.",
    ),
    "chains/r_hat": Picture("Split R-hat by draws", "Falls to 1 where chains mix."),
    "chains/energy": Picture(
        "Energy and its jumps",
        "E-BFMI: where jumps are much the narrower, momenta cannot follow the energy, and tails "
        "are hardly reached.",
    ),
    "principal/data": Picture("Data on their principal axes"),
    "principal/train_time": Picture("Train-time samples on the data's principal axes"),
    "principal/long_run": Picture("Long-run samples on the data's principal axes"),
    "principal/energy": Picture(
        "Slice of the energy",
        "Along the plane of the data's two longest principal axes through their mean. It is no "
        "marginal: data off the plane may be likely where it is not.",
    ),
}
"""By path; others are named by their path."""
