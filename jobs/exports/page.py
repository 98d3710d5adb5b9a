"""Page: a run, or a comparison of several, as one HTML file that needs no network."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from backend.errors import BadInput, NotAvailable
from backend.events import Field, Images, Points, decode, finite, unpack
from backend.metric_names import COMPANIONS, HEADLINES, chart_of
from backend.system.about import version
from jobs.exports.final_figures import final_figures, title_of
from jobs.exports.places import new_file
from jobs.records.run_directory import RunDirectory

MOST_RUNS, MOST_CHARTS, MOST_ROWS, MOST_POINTS = 30, 60, 2000, 3000
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)
_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --page: #fff; --line: #d9dce1; --dim: #5f6670 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e7e9ec; --page: #14161a; --line: #343941; --dim: #a0a7b1 }
}
body { margin: 0 auto; max-width: 1200px; padding: 24px; color: var(--ink);
  background: var(--page); font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 24px; margin: 0 0 4px } h2 { font-size: 18px; margin: 32px 0 8px }
.dim { color: var(--dim) } .grid { display: grid; gap: 16px;
  grid-template-columns: repeat(auto-fill, minmax(min(340px, 100%), 1fr)) }
.chart { height: 280px; min-width: 0 } .wide { overflow-x: auto }
figure { margin: 0 } figcaption { color: var(--dim); font-size: 13px }
img { image-rendering: pixelated; width: 100%; max-width: 480px }
table { border-collapse: collapse } td, th { border-bottom: 1px solid var(--line);
  padding: 4px 12px 4px 0; text-align: left; font-variant-numeric: tabular-nums }
pre { overflow-x: auto; border: 1px solid var(--line); padding: 12px; border-radius: 6px }
"""
_SCRIPT = """
const dark = matchMedia("(prefers-color-scheme: dark)")
const charts = JSON.parse(document.getElementById("charts").textContent)
function draw() {
  const css = getComputedStyle(document.documentElement)
  const [ink, line] = ["--ink", "--line"].map((name) => css.getPropertyValue(name).trim())
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true }
  charts.forEach(({ traces, title, square }, place) => {
    const layout = {
      title: { text: title, font: { size: 14 } }, font: { color: ink, size: 12 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 48, r: 12, t: 52, b: 40 },
      legend: { orientation: "h", y: -0.15, font: { size: 11 } },
      xaxis: axis,
      yaxis: { ...axis, ...(square ? { scaleanchor: "x" } : {}) },
    }
    const options = { responsive: true, displaylogo: false }
    Plotly.react(document.getElementById(`chart-${place}`), traces, layout, options)
  })
}
dark.addEventListener("change", draw)
draw()
"""
_COLOURS = ("#4c8dd6", "#e07b39", "#3fa66b", "#c2589f", "#8a6fd1", "#b0913a", "#3aa6a6", "#d0524f")
_DASHES = {"floor": "dash", "goal": "dashdot", "long_run": "solid"}
Chart = dict[str, Any]


def write(runs: Sequence[RunDirectory], to: Path, say: Callable[[str], None]) -> list[str]:
    """Write the page of runs: curves, final figures with floors, last pictures, settings.

    Returns its name. Raises BadInput at `run` or `to`.
    """
    runs = list({run.id: run for run in runs}.values())
    if len(runs) > MOST_RUNS:
        raise BadInput.at("run", f"must be at most {MOST_RUNS}, got {len(runs)}.")
    say(f"reading {len(runs)} runs" if len(runs) > 1 else "reading the run")
    charts = _curves(runs)
    num_curves = len(charts)
    pictures = []
    for run in runs:
        some, images = _pictures(run, named=len(runs) > 1)
        charts += some
        pictures += images
    text = _page(runs, charts, num_curves, pictures)
    with new_file(to) as file:
        file.write(text.encode())
    say(f"{len(charts)} charts, {len(pictures)} pictures, {len(text) / 1e6:.1f} MB")
    return [to.name]


def _page(
    runs: Sequence[RunDirectory], charts: list[Chart], num_curves: int, pictures: list[str]
) -> str:
    title = name_of(runs[0]) if len(runs) == 1 else f"{len(runs)} runs compared"
    slots = [f'<div class="chart" id="chart-{place}"></div>' for place in range(len(charts))]
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="dim">Basin {html.escape(version())}. This file needs no network.</p>',
        _about(runs),
        "<h2>Final figures</h2>",
        _figures(runs),
    ]
    if num_curves:
        parts += [
            "<h2>Curves over steps</h2>",
            f'<div class="grid">{"".join(slots[:num_curves])}</div>',
        ]
    if len(charts) > num_curves or pictures:
        last = "".join([*slots[num_curves:], *pictures])
        parts += ["<h2>Last pictures</h2>", f'<div class="grid">{last}</div>']
    parts.append("<h2>Settings</h2>")
    for run in runs:
        heading = f"<h3>{html.escape(name_of(run))}</h3>" if len(runs) > 1 else ""
        parts.append(f"{heading}<pre>{html.escape(run.spec().to_yaml())}</pre>")
    data = json.dumps(finite(charts), separators=(",", ":")).replace("<", "\\u003c")
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>"
    )
    script = f'<script type="application/json" id="charts">{data}</script>'
    return f"{head}{''.join(parts)}{script}<script>{_plotly()}</script><script>{_SCRIPT}</script>"


@cache
def _plotly() -> str:
    # found, not imported: its Python weighs 20 MB, and only its script is used
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        raise NotAvailable("A page needs plotly, which is not installed: `pip install plotly`.")
    path = Path(spec.origin).parent / "package_data" / "plotly.min.js"
    return path.read_text(encoding="utf-8").replace("</script", "<\\/script")


def name_of(run: RunDirectory) -> str:
    """Name a run in words, with its seed."""
    status = run.status()
    return f"{status.name or status.method}, seed {status.seed}"


def _about(runs: Sequence[RunDirectory]) -> str:
    head = ("run", "id", "method", "data", "state", "steps", "seconds of training")
    rows = []
    for run in runs:
        each = run.status()
        state = f"{each.status.capitalize()}. {each.reason}".strip()
        rows.append(
            (
                name_of(run),
                each.id,
                each.method,
                each.data,
                " ".join([state, *(alarm["message"] for alarm in each.alarms)]),
                f"{each.step:,}",
                f"{each.seconds:.4g}",
            )
        )
    return _table(head, rows)


def _figures(runs: Sequence[RunDirectory]) -> str:
    known = [{each.path: each for each in final_figures(run)} for run in runs]
    paths = dict.fromkeys(path for its in known for path in its)
    rows = []
    for path in paths:
        there = [its[path] for its in known if path in its]
        floors = [each.floor for each in there if each.floor is not None]
        values = [_number(its[path].value) if path in its else "" for its in known]
        rows.append((there[0].title, *values, _number(floors[0]) if floors else "–"))
    if not rows:
        return '<p class="dim">No figures yet.</p>'
    note = "A floor is what as many fresh real data reach; a dash: nobody measured one."
    head = ("figure", *(name_of(run) for run in runs), "floor")
    return f'{_table(head, rows)}<p class="dim">{note}</p>'


def _number(value: float) -> str:
    return f"{value:.4g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    titles = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{titles}</tr>{body}</table></div>'


def _curves(runs: Sequence[RunDirectory]) -> list[Chart]:
    series = [run.scalars() for run in runs]
    charts: dict[str, Chart] = {}
    for place, (run, its) in enumerate(zip(runs, series, strict=True)):
        for path, curve in its.items():
            name = chart_of(path)
            chart = charts.setdefault(name, {"title": title_of(name), "traces": []})
            rows = np.unique(np.linspace(0, len(curve.step) - 1, MOST_ROWS).astype(int))
            tail = path.removeprefix(f"{name}/") if path != name else ""
            label = COMPANIONS[tail].title if tail in COMPANIONS else tail
            # a colour is a run among several, and a curve of one alone
            colour = place if len(runs) > 1 else len(chart["traces"])
            style = {"color": _COLOURS[colour % len(_COLOURS)]}
            dash = _DASHES.get(tail, "dot") if tail and len(runs) > 1 else "solid"
            words = [name_of(run) if len(runs) > 1 else "", label]
            chart["traces"].append(
                {
                    "x": curve.step[rows].tolist(),
                    "y": curve.value[rows].astype(float).tolist(),
                    "name": html.escape(", ".join(filter(None, words)) or "run"),
                    "mode": "lines" if len(rows) > 1 else "markers",
                    "line": {**style, "dash": dash},
                    "marker": {**style, "symbol": "circle-open" if tail else "circle"},
                }
            )
    first = [name for name in HEADLINES["run"] if name in charts]
    return [charts[name] for name in dict.fromkeys([*first, *charts])][:MOST_CHARTS]


def _pictures(run: RunDirectory, named: bool) -> tuple[list[Chart], list[str]]:
    """Draw the last event of each path: charts of points and fields, and images."""
    of = name_of(run) if named else ""
    last = {key.path: key.seq for key in run.keyframe_index()}
    charts: list[Chart] = []
    images = []
    for data in run.keyframes.read_many(last.values()):
        event = decode(unpack(data))
        what = title_of(event.path)
        title = f"{html.escape(of)}<br>{html.escape(what)}" if of else html.escape(what)
        if isinstance(event, Images):
            images.append(_image(event, f"{of}: {what}" if of else what))
        elif isinstance(event, Points) and event.positions.shape[1] == 2:
            x, y = event.positions[:MOST_POINTS].astype(float).T.tolist()
            trace = {"type": "scatter", "x": x, "y": y, "mode": "markers", "name": event.role}
            trace["marker"] = {"size": 3, "color": _COLOURS[0]}
            charts.append({"title": title, "traces": [trace], "square": True})
        elif isinstance(event, Field):
            height, width = event.values.shape
            axes = [
                np.linspace(*reach, 2 * num + 1)[1::2].tolist()
                for reach, num in ((event.x_range, width), (event.y_range, height))
            ]
            trace = {"type": "heatmap", "x": axes[0], "y": axes[1], "colorscale": "Viridis"}
            trace |= {"z": event.values.astype(float).tolist()}
            charts.append({"title": title, "traces": [trace], "square": True})
    return charts, images


def _image(event: Images, title: str) -> str:
    from PIL import Image

    pixels = event.pixels if event.pixels.ndim == 4 else event.pixels[..., None]
    num, height, width, channels = pixels.shape
    across = int(np.ceil(np.sqrt(num)))
    down = -(-num // across)
    sheet = np.zeros((down * across, height + 1, width + 1, channels), np.uint8)
    sheet[:num, :height, :width] = pixels
    sheet = sheet.reshape(down, across, height + 1, width + 1, channels).swapaxes(1, 2)
    flat = sheet.reshape(down * (height + 1), across * (width + 1), channels)
    file = io.BytesIO()
    Image.fromarray(flat[..., 0] if channels == 1 else flat).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    words = html.escape(title)
    return (
        f'<figure><img alt="{words}" src="data:image/png;base64,{data}">'
        f"<figcaption>{words}</figcaption></figure>"
    )
