// Points as dots, their first two coordinates, in a view fixed by the data; classes by colour.

import { faded } from "../../parts/colours.js"
import { placing, planeOn, rangesOf, sized } from "./plane.js"

/** As much room around bare dots as their view always had. */
const BARE_ROOM = 0.15
const MOST_NAMED = 12

/** Draw `frame`'s points over those of `data`, if any, on a square canvas of `width` CSS pixels. */
export function drawPoints(canvas, frame, data, width, colours) {
  const { positions } = (data ?? frame).arrays
  const ranges = rangesOf(positions, { room: BARE_ROOM })
  const context = sized(canvas, width, width)
  const place = placing({ left: 0, top: 0, width, height: width }, ranges)
  paintPoints({ context, place }, frame, data, colours)
}

/** The same with axes, for points whose coordinates have names. */
export function drawNamedPoints(canvas, frame, data, width, colours) {
  const ranges = rangesOf((data ?? frame).arrays.positions, { isEqual: false })
  const plane = planeOn(canvas, width, ranges, colours, frame.header.meta.axes)
  paintPoints(plane, frame, data, colours)
}

function paintPoints(plane, frame, data, colours) {
  if (data) paintDots(plane, data.arrays.positions, () => faded(colours.data, 0.3), 1.2)
  const { labels } = frame.arrays
  const { role } = frame.header.meta
  const made = role === "train_time" ? colours.chains : colours.samples
  const colourOf = labels ? (row) => classColour(labels.data[row], colours) : () => made
  paintDots(plane, frame.arrays.positions, (row) => faded(colourOf(row), 0.85), labels ? 2.2 : 1.8)
}

function paintDots({ context, place }, { shape, data }, colourOf, radius) {
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
function classColour(label, { runs, muted }) {
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
