// Pictures of several models to be compared: all in one view, densities on one scale, samples in
// the colour of their model over the data.

import { faded } from "../parts/colours.js"
import { densities, paintField } from "../pictures/drawing/field.js"
import { drawGrid } from "../pictures/drawing/images.js"
import { planeOn, rangesOf } from "../pictures/drawing/plane.js"

const GAP = 20
const LEAST = 240
const LEAST_OF_MANY = 130
const MANY = 8
const MOST = 640
const DATA_OPACITY = 0.28

/** Columns that share out `width` pixels among `num` cards, with full rows as far as can be. */
export function columnsFor(num, width) {
  const least = num > MANY ? LEAST_OF_MANY : LEAST
  const most = Math.max(1, Math.min(num, Math.floor((width + GAP) / (least + GAP))))
  return Math.max(1, Math.ceil(num / Math.ceil(num / most)))
}

/** Lay cards out in the width there is; returns the side of a picture in pixels. */
export function layOut(cards, width) {
  const num = columnsFor(cards.children.length, width)
  cards.style.gridTemplateColumns = `repeat(${num}, minmax(0, 1fr))`
  return Math.floor(Math.min((width - GAP * (num - 1)) / num, MOST))
}

/** The ranges [[low, high], [low, high]] that hold all of these frames, fields or points. */
export function viewOf(frames) {
  const views = frames.filter(Boolean).map(({ header: { kind, meta }, arrays }) => {
    if (kind === "field") return [meta.x_range, meta.y_range]
    return kind === "points" ? rangesOf(arrays.positions) : null
  })
  return views.filter(Boolean).reduce((all, view) => {
    if (!all) return view
    return all.map(([low, high], axis) => [
      Math.min(low, view[axis][0]),
      Math.max(high, view[axis][1]),
    ])
  }, null)
}

/** What the density of a field of energies, 1 at its peak, comes to over all of the field. */
export function massOf(frame) {
  const { x_range: xs, y_range: ys } = frame.header.meta
  const cell = ((xs[1] - xs[0]) * (ys[1] - ys[0])) / frame.arrays.values.data.length
  frame.mass ??= densities(frame).reduce((sum, value) => sum + value, 0) * cell
  return frame.mass
}

/**
 * Draw `frame` on a canvas `width` CSS pixels wide. `view`: the ranges of its axes; `peak`: the
 * highest density of all, as a multiple of its own; `colour`: of its model; `data`: points to draw
 * it over.
 */
export function paintCompared(canvas, { frame, data, colour, peak }, view, width, colours) {
  const { kind, meta } = frame.header
  if (kind === "images") {
    drawGrid(canvas, frame, { width })
    return
  }
  const plane = planeOn(canvas, width, view, colours, kind === "points" ? (meta.axes ?? []) : [])
  const { context } = plane
  if (kind === "field") {
    context.imageSmoothingQuality = "high"
    paintOver(plane, paintField(frame, colours, "density", peak), meta)
    return
  }
  const radius = width < 200 ? 1.1 : 1.7
  if (data) paintDots(plane, data.arrays.positions, faded(colours.data, DATA_OPACITY), radius)
  paintDots(plane, frame.arrays.positions, faded(colour, 0.75), radius)
}

/** Draw a picture of a field where its ranges lie. */
export function paintOver({ context, place }, picture, { x_range: xs, y_range: ys }) {
  const [left, top] = place(xs[0], ys[1])
  const [right, bottom] = place(xs[1], ys[0])
  context.drawImage(picture, left, top, right - left, bottom - top)
}

function paintDots({ context, place }, { shape: [num, dim], data }, colour, radius) {
  context.fillStyle = colour
  for (let row = 0; row < num; row++) {
    const [x, y] = place(data[row * dim], dim > 1 ? data[row * dim + 1] : 0)
    context.beginPath()
    context.arc(x, y, radius, 0, 2 * Math.PI)
    context.fill()
  }
}
