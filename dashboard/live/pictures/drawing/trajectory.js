// The paths of some chains: lines through their states, a ring where each began, a dot at its end.

import { faded } from "../../parts/colours.js"
import { planeOn, rangesOf } from "./plane.js"

/**
 * Draw the first two coordinates of a Trajectory frame; of one coordinate, its course.
 *
 * `until`: the last state that is drawn, the last of all by default; `behind`: {image, ranges} of a
 * landscape under the paths. Returns the plane it is drawn on: {box, ranges}.
 */
export function drawTrajectory(canvas, frame, width, colours, { until, behind } = {}) {
  const { positions } = frame.arrays
  const [states, chains, dim] = positions.shape
  const isCourse = dim < 2
  const at = (step, chain, axis) => positions.data[(step * chains + chain) * dim + axis]
  const ranges = isCourse
    ? [[0, Math.max(states - 1, 1)], rangesOf(positions)[0]]
    : joined(rangesOf(positions), behind?.ranges ?? viewOf(frame))
  const names = isCourse ? ["state", "x₁"] : ["x₁", "x₂"]
  const { context, box, place } = planeOn(canvas, width, ranges, colours, names)
  if (behind) paintBehind(context, behind, place)
  for (const disc of frame.header?.meta.obstacles ?? []) paintDisc(context, disc, place, colours)
  const state = (step, chain) =>
    isCourse ? place(step, at(step, chain, 0)) : place(at(step, chain, 0), at(step, chain, 1))
  const last = Math.min(until ?? states - 1, states - 1)
  context.lineWidth = 1.2
  context.lineJoin = "round"
  for (let chain = 0; chain < chains; chain++) {
    context.beginPath()
    for (let step = 0; step <= last; step++) context.lineTo(...state(step, chain))
    if (behind) outline(context, colours)
    context.strokeStyle = faded(colours.chains, behind ? 1 : 0.5)
    context.stroke()
  }
  context.fillStyle = colours.chains
  for (let chain = 0; chain < chains && states > 0; chain++) {
    context.beginPath()
    context.arc(...state(0, chain), 3, 0, 2 * Math.PI)
    if (behind) outline(context, colours)
    context.strokeStyle = colours.chains
    context.stroke()
    context.beginPath()
    context.arc(...state(last, chain), 3.4, 0, 2 * Math.PI)
    if (behind) outline(context, colours)
    context.fill()
  }
  return { box, ranges }
}

/** Set the present line off from a landscape that may have its colour. */
function outline(context, colours) {
  const { lineWidth } = context
  context.strokeStyle = colours.bg
  context.lineWidth = lineWidth + 2
  context.stroke()
  context.lineWidth = lineWidth
}

/** A disc [x, y, radius] that stands in the way. */
function paintDisc(context, [x, y, radius], place, colours) {
  const [left, top] = place(x - radius, y + radius)
  const [right, bottom] = place(x + radius, y - radius)
  context.beginPath()
  context.ellipse(
    (left + right) / 2,
    (top + bottom) / 2,
    (right - left) / 2,
    (bottom - top) / 2,
    0,
    0,
    2 * Math.PI,
  )
  context.fillStyle = faded(colours.muted, 0.55)
  context.fill()
  outline(context, colours)
  context.strokeStyle = colours.text
  context.stroke()
}

/** The plane that the paths say they lie in, if they do. */
function viewOf({ header }) {
  return header?.meta.view?.length ? header.meta.view : undefined
}

function joined(ranges, others = ranges) {
  return ranges.map(([low, high], axis) => [
    Math.min(low, others[axis][0]),
    Math.max(high, others[axis][1]),
  ])
}

function paintBehind(context, { image, ranges: [xs, ys] }, place) {
  const [left, top] = place(xs[0], ys[1])
  const [right, bottom] = place(xs[1], ys[0])
  context.imageSmoothingQuality = "high"
  context.drawImage(image, left, top, right - left, bottom - top)
}
