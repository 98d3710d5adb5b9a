"""Files of a run's record: log, merged scalars, table of scalars, keyframes. All hold frames."""
