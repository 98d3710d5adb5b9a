"""The science: energies, samplers, objectives and methods, in torch and numpy alone."""

from backend import former_names

former_names.install()
