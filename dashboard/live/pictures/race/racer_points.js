// The draws of a racer on two coordinates, in a view that the target's own draws set: a racer that
// blew up is counted at the edges and moves no scale.

import { faded } from "../../parts/colours.js"
import { paintBeyond, planeOn } from "../drawing/plane.js"

/** share of the draws beyond each end of a view */
const TAIL = 0.005
/** room around them, in ranges */
const ROOM = 0.25
const RADIUS = 1.8

/** The ranges [[low, high], [low, high]] around the middle 99 % of positions (num, dim). */
export function viewOf({ shape, data }, axes) {
  const [num, dim] = shape
  return axes.map((axis) => {
    const values = Array.from({ length: num }, (_, row) => data[row * dim + axis])
      .filter(Number.isFinite)
      .sort((a, b) => a - b)
    if (!values.length) return [-1, 1]
    const at = (share) => values[Math.round(share * (values.length - 1))]
    const [low, high] = [at(TAIL), at(1 - TAIL)]
    const room = ROOM * (high - low) || 1
    return [low - room, high + room]
  })
}

/** How many positions lie beyond each side of a view, {left, right, top, bottom}; what is no number
 * lies nowhere. */
export function beyond({ shape, data }, [across, up], [xs, ys]) {
  const [num, dim] = shape
  const sides = { left: 0, right: 0, top: 0, bottom: 0 }
  for (let row = 0; row < num; row++) {
    const [x, y] = [data[row * dim + across], data[row * dim + up]]
    if (x < xs[0]) sides.left++
    else if (x > xs[1]) sides.right++
    else if (y < ys[0]) sides.bottom++
    else if (y > ys[1]) sides.top++
  }
  return sides
}

/** How many positions have a coordinate, of two, that is no number. */
export function numLost({ shape, data }, axes) {
  const [num, dim] = shape
  const isLost = (row) => axes.some((axis) => !Number.isFinite(data[row * dim + axis]))
  return Array.from({ length: num }, (_, row) => row).filter(isLost).length
}

/** Draw `frame`'s positions over those of `data`, if any, `width` CSS pixels wide, with named axes. */
export function drawOnAxes(canvas, frame, data, axes, names, width, colours) {
  const { positions } = frame.arrays
  const view = viewOf((data ?? frame).arrays.positions, axes)
  const ends = axes.map((axis) => names[axis])
  const plane = planeOn(canvas, width, view, colours, ends)
  if (data) dots(plane, data.arrays.positions, axes, faded(colours.data, 0.3), RADIUS - 0.6)
  const isWalking = frame.header.meta.role === "train_time"
  const colour = isWalking ? colours.chains : colours.samples
  dots(plane, positions, axes, faded(colour, 0.85), RADIUS)
  paintBeyond(plane.context, plane.box, beyond(positions, axes, view), colour)
}

function dots({ context, place }, { shape, data }, [across, up], colour, radius) {
  const [num, dim] = shape
  context.fillStyle = colour
  context.beginPath()
  for (let row = 0; row < num; row++) {
    const [x, y] = place(data[row * dim + across], data[row * dim + up])
    if (!Number.isFinite(x) || !Number.isFinite(y)) continue
    context.moveTo(x + radius, y)
    context.arc(x, y, radius, 0, 2 * Math.PI)
  }
  context.fill()
}
