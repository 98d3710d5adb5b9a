"""The science: energies, samplers, objectives and methods, in torch and numpy alone."""
