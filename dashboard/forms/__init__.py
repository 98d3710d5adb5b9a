"""Forms: the fields of a RunSpec, and the draft that a person fills in."""
