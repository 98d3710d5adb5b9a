// A square of the plane with its axes: what fields, points and trajectories are drawn on.

import { faded } from "../../parts/colours.js"
import { figure, ticks } from "../../parts/formatting.js"

const MARGIN = { left: 42, right: 8, top: 8, bottom: 26 }
/** above and below, where the axes have names */
const NAME = 18
const SHARPNESS = 2
const ROOM = 0.08
export const FONT = "12px 'Source Sans', 'Source Sans Pro', sans-serif"

/**
 * Prepare a canvas of `width` CSS pixels for the ranges [[low, high], [low, high]], with axes and
 * their names, if any; returns {context, box: {left, top, width, height}, place(x, y)}.
 */
export function planeOn(canvas, width, ranges, colours, names = []) {
  const [right, top] = names.length ? [MARGIN.right, MARGIN.top + NAME] : [MARGIN.right, MARGIN.top]
  const side = width - MARGIN.left - right
  const height = top + side + MARGIN.bottom + (names.length ? NAME : 0)
  const box = { left: MARGIN.left, top, width: side, height: side }
  const context = sized(canvas, width, height)
  context.fillStyle = colours.surface
  context.fillRect(box.left, box.top, side, side)
  paintTicks(context, box, ranges, colours)
  paintNames(context, box, names, height, colours)
  context.beginPath()
  context.rect(box.left, box.top, side, side)
  context.clip()
  return { context, box, place: placing(box, ranges) }
}

/** The context of a canvas, in CSS pixels. */
export function sized(canvas, width, height) {
  canvas.width = width * SHARPNESS
  canvas.height = height * SHARPNESS
  canvas.style.width = `${width}px`
  canvas.style.height = `${height}px`
  const context = canvas.getContext("2d")
  context.setTransform(SHARPNESS, 0, 0, SHARPNESS, 0, 0)
  return context
}

/** A function (x, y) → [x, y] from the ranges into a box. */
export function placing({ left, top, width, height }, [xs, ys]) {
  return (x, y) => [
    left + ((x - xs[0]) / (xs[1] - xs[0])) * width,
    top + (1 - (y - ys[0]) / (ys[1] - ys[0])) * height,
  ]
}

/** Write round numbers below a box and left of it; none in the last pixels kept free for names. */
export function paintTicks(context, box, [xs, ys], colours, { freeRight = 0, freeTop = 0 } = {}) {
  const place = placing(box, [xs, ys])
  context.fillStyle = colours.muted
  context.font = FONT
  context.textAlign = "center"
  context.textBaseline = "top"
  for (const value of ticks(xs)) {
    const [x] = place(value, ys[0])
    if (x <= box.left + box.width - freeRight) {
      context.fillText(figure(value), x, box.top + box.height + 7)
    }
  }
  context.textAlign = "right"
  context.textBaseline = "middle"
  for (const value of ticks(ys)) {
    const [, y] = place(xs[0], value)
    if (y >= box.top + freeTop) context.fillText(figure(value), box.left - 7, y)
  }
}

function paintNames(context, box, [xName = "", yName = ""], height, colours) {
  context.fillStyle = colours.text
  context.textAlign = "right"
  context.textBaseline = "bottom"
  context.fillText(xName, box.left + box.width, height - 2, box.width)
  context.textAlign = "left"
  context.textBaseline = "top"
  context.fillText(yName, 0, 2, box.left + box.width)
}

/** How many points lie beyond each side of a view. */
export function beyondOf({ shape: [num, dim], data }, [xs, ys]) {
  const beyond = { left: 0, right: 0, top: 0, bottom: 0 }
  for (let row = 0; row < num; row++) {
    const [x, y] = [data[row * dim], dim > 1 ? data[row * dim + 1] : 0]
    if (x < xs[0]) beyond.left++
    else if (x > xs[1]) beyond.right++
    else if (y > ys[1]) beyond.top++
    else if (y < ys[0]) beyond.bottom++
  }
  return beyond
}

/** Write how many lie beyond each side of a box, {left, right, top, bottom}, as arrows at it. */
export function paintBeyond(context, box, beyond, colour) {
  const [x, y] = [box.left + box.width / 2, box.top + box.height / 2]
  const places = {
    left: [box.left + 18, y, "◀"],
    right: [box.left + box.width - 18, y, "▶"],
    top: [x, box.top + 14, "▲"],
    bottom: [x, box.top + box.height - 14, "▼"],
  }
  context.fillStyle = colour
  context.textAlign = "center"
  context.textBaseline = "middle"
  for (const [side, number] of Object.entries(beyond)) {
    const [left, top, arrow] = places[side]
    if (number) context.fillText(`${arrow} ${number}`, left, top)
  }
}

/** Draw line segments in units of a grid of [columns, rows] points, row 0 at the bottom. */
export function strokeSegments(context, segments, box, [columns, rows], colours) {
  context.strokeStyle = faded(colours.text, 0.35)
  context.lineWidth = 0.6
  context.beginPath()
  const place = placing(box, [
    [0, columns - 1],
    [0, rows - 1],
  ])
  for (const [x0, y0, x1, y1] of segments) {
    context.moveTo(...place(x0, y0))
    context.lineTo(...place(x1, y1))
  }
  context.stroke()
}

/** Draw a dotted line through places (num, 2), on an edge of the ground so that it reads on both. */
export function strokeTheory(context, data, place, colours) {
  for (const [width, colour, dash] of [
    [5, colours.surface, []],
    [2, colours.text, [2, 4]],
  ]) {
    context.beginPath()
    for (let at = 0; at + 1 < data.length; at += 2) {
      context.lineTo(...place(data[at], data[at + 1]))
    }
    context.lineWidth = width
    context.strokeStyle = colour
    context.setLineDash(dash)
    context.lineCap = "round"
    context.stroke()
  }
  context.setLineDash([])
}

/**
 * The ranges of the first two coordinates of positions (…, dim), with some room around. `isEqual`:
 * both as long, so that nothing is stretched.
 */
export function rangesOf({ shape, data }, { isEqual = true, room = ROOM } = {}) {
  const dim = shape.at(-1)
  const ranges = [0, 1].map((axis) => {
    let [low, high] = [Infinity, -Infinity]
    for (let at = axis; at < data.length && axis < dim; at += dim) {
      if (!Number.isFinite(data[at])) continue
      low = Math.min(low, data[at])
      high = Math.max(high, data[at])
    }
    return low <= high ? [low, high] : [0, 0]
  })
  const longest = Math.max(...ranges.map(([low, high]) => high - low))
  return ranges.map(([low, high]) => {
    const span = ((isEqual ? longest : high - low) || 1) * (1 + 2 * room)
    const middle = (low + high) / 2
    return [middle - span / 2, middle + span / 2]
  })
}
