// Pictures of several models to be compared: all in one view, densities on one scale, samples in
// the colour of their model over the data.

import { faded } from "../parts/colours.js"
import { densities, paintField } from "../pictures/drawing/field.js"
import { drawGrid } from "../pictures/drawing/images.js"
import { heightOf, paintText } from "../pictures/drawing/text.js"
import { beyondOf, FONT, paintBeyond, planeOn, rangesOf } from "../pictures/drawing/plane.js"
import { paintClassRows } from "./selecting/class_rows.js"
import { isTable, paintPairs } from "./pair_plots.js"

const GAP = 20
const LEAST = 240
const LEAST_OF_MANY = 130
const MANY = 8
const MOST = 640
const DATA_OPACITY = 0.28
/** Share of samples at each end of a coordinate that a view may leave out. */
const STRAY = 0.02

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
    return kind === "points"
      ? rangesOf(meta.role === "data" ? arrays.positions : bulkOf(arrays))
      : null
  })
  return views.filter(Boolean).reduce((all, view) => {
    if (!all) return view
    return all.map(([low, high], axis) => [
      Math.min(low, view[axis][0]),
      Math.max(high, view[axis][1]),
    ])
  }, null)
}

/** Positions without those far out in a coordinate: a stray sample is not to shrink all others. */
function bulkOf({ positions: { shape, data } }) {
  const [num, dim] = shape
  const axes = dim > 1 ? [0, 1] : [0]
  const ends = axes.map((axis) => {
    const values = Array.from({ length: num }, (_, row) => data[row * dim + axis])
    const sorted = Float64Array.from(values.filter(Number.isFinite)).sort()
    const at = (share) => sorted[Math.round(share * (sorted.length - 1))]
    return [at(STRAY), at(1 - STRAY)]
  })
  const rows = Array.from({ length: num }, (_, row) => row).filter((row) =>
    ends.every(([low, high], axis) => {
      const value = data[row * dim + axis]
      return value >= low && value <= high
    }),
  )
  const bulk = rows.flatMap((row) => Array.from(data.subarray(row * dim, (row + 1) * dim)))
  return { shape: [rows.length, dim], data: bulk }
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
 * it over; `selected`: places of samples that stand out, with the `nearest` training points;
 * `columns`: of a table; `classes`: names of those that samples are of in turn. Returns where samples lie, as selecting/regions.js has it.
 */
export function paintCompared(canvas, picture, view, width, colours) {
  const { frame, data, colour, peak, selected } = picture
  const { kind, meta } = frame.header
  if (kind === "images" && picture.classes) {
    return paintClassRows(canvas, picture, width, colours)
  }
  if (kind === "images") {
    const { accent, bg } = colours
    return { grid: drawGrid(canvas, frame, { width, selected, accent, bg }) }
  }
  if (kind === "table") {
    paintText(canvas, meta, [width, heightOf(meta)], colours)
    return null
  }
  if (isTable(frame, data)) return paintPairs(canvas, picture, picture.columns, width, colours)
  const plane = planeOn(canvas, width, view, colours, kind === "points" ? (meta.axes ?? []) : [])
  const { context } = plane
  if (kind === "field") {
    context.imageSmoothingQuality = "high"
    paintOver(plane, paintField(frame, colours, "density", peak), meta)
    return null
  }
  const radius = width < 200 ? 1.1 : 1.7
  const { positions } = frame.arrays
  if (data) paintDots(plane, data.arrays.positions, faded(colours.data, DATA_OPACITY), radius)
  const isFaded = Boolean(selected?.size)
  const opacity = isFaded ? 0.18 : 0.75
  const num = picture.classes?.length
  const ofClass =
    ({ runs }) =>
    (row) =>
      faded(runs[(row % num) % runs.length], opacity)
  const dotted = num ? ofClass(colours) : faded(colour, opacity)
  paintDots(plane, positions, dotted, radius)
  if (isFaded) paintSelected(plane, picture, radius, colours)
  context.font = FONT
  paintBeyond(context, plane.box, beyondOf(positions, view), colours.text)
  const planes = [{ box: plane.box, ranges: view, axes: [0, 1] }]
  return { planes, data: positions.data, dim: positions.shape[1] }
}

/** Selected points, each with a line to the nearest training point. */
function paintSelected({ context, place }, { frame, nearest, colour, selected }, radius, colours) {
  const [num, dim] = frame.arrays.positions.shape
  const at = ({ data }, row) => place(data[row * dim], dim > 1 ? data[row * dim + 1] : 0)
  const ends = nearest?.arrays.positions
  const places = [...selected.places].filter((row) => row < num)
  context.strokeStyle = faded(colours.data, 0.6)
  context.lineWidth = 0.8
  context.beginPath()
  for (const row of places.filter((each) => ends && each < ends.shape[0])) {
    const end = at(ends, row)
    context.moveTo(...at(frame.arrays.positions, row))
    context.lineTo(...end)
    context.moveTo(end[0] + 3, end[1])
    context.arc(...end, 3, 0, 2 * Math.PI)
  }
  context.stroke()
  context.fillStyle = colour
  for (const row of places) {
    context.beginPath()
    context.arc(...at(frame.arrays.positions, row), radius + 1.3, 0, 2 * Math.PI)
    context.fill()
  }
}

/** Draw a picture of a field where its ranges lie. */
export function paintOver({ context, place }, picture, { x_range: xs, y_range: ys }) {
  const [left, top] = place(xs[0], ys[1])
  const [right, bottom] = place(xs[1], ys[0])
  context.drawImage(picture, left, top, right - left, bottom - top)
}

/** `colour`: of all, or a function of the row. */
function paintDots({ context, place }, { shape: [num, dim], data }, colour, radius) {
  if (typeof colour !== "function") context.fillStyle = colour
  for (let row = 0; row < num; row++) {
    if (typeof colour === "function") context.fillStyle = colour(row)
    const [x, y] = place(data[row * dim], dim > 1 ? data[row * dim + 1] : 0)
    context.beginPath()
    context.arc(x, y, radius, 0, 2 * Math.PI)
    context.fill()
  }
}
