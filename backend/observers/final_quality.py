"""The final figures of quality beside those of real data, as a table."""

from __future__ import annotations

from backend.metric_names import NUM_SAMPLES
from backend.metrics.quality import CLASS_GAUSSIAN
from backend.observe import tables
from backend.observe.context import Context
from backend.observe.observer import Evaluation, Observer


class FinalQualityObserver(Observer):
    """`quality/final`, and the floors at the number of samples that is compared."""

    id = "final_quality"

    def evaluate(self, context: Context) -> Evaluation:
        quality = context.quality
        floors = quality.floors(context.generator)
        baselines = quality.baselines(context.own_generator(CLASS_GAUSSIAN))
        table = tables.final(context.figures, floors, quality.num, baselines)
        figures = {f"quality/{name}/floor": value for name, value in floors.items()}
        figures |= {f"quality/{name}/{CLASS_GAUSSIAN}": v for name, v in baselines.items()}
        return Evaluation({NUM_SAMPLES: quality.num, **figures}, [table])
