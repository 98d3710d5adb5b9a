"""Bodies that energies share: maps from positions to one number each."""
