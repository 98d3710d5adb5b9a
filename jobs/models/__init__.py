"""Methods set up from a RunSpec, restored from a checkpoint, and asked. Imports torch."""
