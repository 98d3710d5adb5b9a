// Points as dots, their first two coordinates, in a view fixed by the data; classes by colour.

import { faded } from "../../parts/colours.js"
import { placing, planeOn, rangesOf, sized } from "./plane.js"

/** As much room around bare dots as their view always had. */
const BARE_ROOM = 0.15
const MOST_NAMED = 12
const MOST_ARROWS = 300
/** of the view's width */
const ARROW = 0.08
const COLOURS = { data: "data", train_time: "chains", noise: "noise" }

/** Draw `frame`'s points over those of `data`, if any, on a square canvas of `width` CSS pixels. */
export function drawPoints(canvas, frame, data, width, colours) {
  const { positions } = (data ?? frame).arrays
  const ranges = rangesOf(positions, { room: BARE_ROOM })
  const context = sized(canvas, width, width)
  const place = placing({ left: 0, top: 0, width, height: width }, ranges)
  paintPoints({ context, place }, frame, data, colours)
}

/** The same with axes, which are of one kind where coordinates have no names, and with arrows;
 * `tint(row)`: a colour for each point, in place of its role's. */
export function drawNamedPoints(canvas, frame, data, width, colours, tint = null) {
  const { axes } = frame.header.meta
  const { arrows } = frame.arrays
  const isNamed = Boolean(axes?.length)
  const room = arrows ? { room: BARE_ROOM } : {}
  const ranges = rangesOf((data ?? frame).arrays.positions, { isEqual: !isNamed, ...room })
  const plane = planeOn(canvas, width, ranges, colours, isNamed ? axes : [])
  paintPoints(plane, frame, data, colours, tint)
  if (arrows) paintArrows(plane, frame.arrays.positions, arrows, ranges, colours)
}

/** Arrows at some positions, the longest but a few as long as a share of the view. */
function paintArrows({ context, place }, { shape: [num, dim], data }, arrows, ranges, colours) {
  if (dim < 2) return
  const lengths = Array.from({ length: num }, (_, row) =>
    Math.hypot(arrows.data[row * dim], arrows.data[row * dim + 1]),
  )
  const long = lengths.filter(Number.isFinite).sort((a, b) => a - b)
  const unit = long[Math.floor(0.95 * (long.length - 1))] || 1
  const scale = (ARROW * (ranges[0][1] - ranges[0][0])) / unit
  context.strokeStyle = faded(colours.samples, 0.8)
  context.lineWidth = 1
  const every = Math.ceil(num / MOST_ARROWS)
  for (let row = 0; row < num; row += every) {
    const [x, y] = [data[row * dim], data[row * dim + 1]]
    const by = scale * Math.min(1, (1.5 * unit) / (lengths[row] || 1))
    const from = place(x, y)
    const to = place(x + by * arrows.data[row * dim], y + by * arrows.data[row * dim + 1])
    paintArrow(context, from, to)
  }
}

function paintArrow(context, [x, y], [toX, toY]) {
  const angle = Math.atan2(toY - y, toX - x)
  const head = Math.min(4, Math.hypot(toX - x, toY - y) / 2)
  context.beginPath()
  context.moveTo(x, y)
  context.lineTo(toX, toY)
  for (const side of [-0.5, 0.5]) {
    context.moveTo(toX, toY)
    context.lineTo(toX - head * Math.cos(angle + side), toY - head * Math.sin(angle + side))
  }
  context.stroke()
}

function paintPoints(plane, frame, data, colours, tint = null) {
  if (data) paintDots(plane, data.arrays.positions, () => faded(colours.data, 0.3), 1.2)
  const { labels } = frame.arrays
  const { role } = frame.header.meta
  const made = colours[COLOURS[role] ?? "samples"]
  const colourOf = labels ? (row) => classColour(labels.data[row], colours) : () => made
  const radius = labels || tint ? 2.2 : 1.8
  paintDots(plane, frame.arrays.positions, tint ?? ((row) => faded(colourOf(row), 0.85)), radius)
}

export function paintDots({ context, place }, { shape, data }, colourOf, radius) {
  const [num, dim] = shape
  for (let row = 0; row < num; row++) {
    const [x, y] = place(data[row * dim], dim > 1 ? data[row * dim + 1] : 0)
    context.fillStyle = colourOf(row)
    context.beginPath()
    context.arc(x, y, radius, 0, 2 * Math.PI)
    context.fill()
  }
}

/** A class's colour; what has no class (a negative label) is grey. */
export function classColour(label, { runs, muted }) {
  return label < 0 ? muted : runs[label % runs.length]
}

/** The classes of a frame in order, [{name, colour}], those beyond a dozen as one entry. */
export function classesOf(frame, colours) {
  const labels = [...new Set(frame.arrays.labels?.data)].sort((a, b) => a - b)
  const named = labels.slice(0, MOST_NAMED).map((label) => ({
    name: label < 0 ? "no class" : `class ${label}`,
    colour: classColour(label, colours),
  }))
  const rest = labels.length - named.length
  return rest > 0 ? [...named, { name: `and ${rest} more`, colour: colours.muted }] : named
}
