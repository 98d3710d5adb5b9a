"""Read by every Python that has this folder on PYTHONPATH: adds the tests' method and sampler to
those that workers and commands find."""

from pathlib import Path

import backend.methods
import backend.samplers

_HERE = Path(__file__).parent
backend.methods.__path__.append(str(_HERE / "methods"))
backend.samplers.__path__.append(str(_HERE / "samplers"))
