// The two sides of a ballot and real data for reference, drawn alike whoever they are of.

import { faded } from "../../parts/colours.js"
import { make } from "../../parts/dom.js"
import { drawGrid, gridOf, imageOf } from "../drawing/images.js"
import { beyondOf, FONT, paintBeyond, placing, planeOn, rangesOf, sized } from "../drawing/plane.js"
import { PairPlot } from "../pair_plot.js"

const MOST_SIDE = 453
/** Narrower pictures of points have no axes: their ticks would be most of them. */
const LEAST_AXES = 260
const COUNTS = [64, 49, 36, 25, 16, 9, 4, 1]
const REFERENCE_CELL = 32
const GAP = 3
const ALL = { data: true, samples: true }

/** Pixels a side may take of a page `width` wide, with `height` to spare; tables stand stacked where
 * it is narrow. */
export function layout(kind, width, height) {
  const gap = width > 1000 ? 64 : width > 560 ? 32 : 14
  const isStacked = kind === "table" && width < 560
  const room = isStacked ? width : (width - gap) / 2
  return { gap, isStacked, side: Math.floor(Math.min(room, MOST_SIDE, Math.max(height, 200))) }
}

/** How a ballot's events are drawn: images, points of the plane, or a table's pair plot. */
export function kindOf(frame) {
  if (frame.header.kind === "images") return "images"
  return frame.arrays.positions.shape[1] === 2 ? "points" : "table"
}

/** Draw one side on `canvas`, `side` CSS pixels wide. */
export function drawSide(canvas, frame, reference, side, colours) {
  const kind = kindOf(frame)
  if (kind === "images") drawGrid(canvas, frame, { width: side, count: cellsIn(frame, side) })
  else if (kind === "points") drawPlane(canvas, frame, reference, side, colours)
  else drawTable(canvas, frame, reference, side, colours)
}

/** The most images in a square that are whole at `side` pixels. */
export function cellsIn(frame, side) {
  const fits = (count) => gridOf(frame, { width: side, count }).size[0] <= side
  return COUNTS.find(fits) ?? 1
}

function drawPlane(canvas, frame, reference, side, colours) {
  const ranges = rangesOf(reference.arrays.positions, { room: 0.15 })
  let plane
  if (side >= LEAST_AXES) plane = planeOn(canvas, side, ranges, colours)
  else {
    const context = sized(canvas, side, side)
    const box = { left: 0, top: 0, width: side, height: side }
    plane = { context, box, place: placing(box, ranges) }
  }
  dots(plane, reference.arrays.positions, faded(colours.data, 0.28), 1.3)
  const { positions } = frame.arrays
  dots(plane, positions, faded(colours.samples, 0.8), side < LEAST_AXES ? 1.4 : 1.9)
  plane.context.font = FONT
  paintBeyond(plane.context, plane.box, beyondOf(positions, ranges), colours.text)
}

function dots({ context, place }, { shape: [num, dim], data }, colour, radius) {
  context.fillStyle = colour
  for (let row = 0; row < num; row++) {
    context.beginPath()
    context.arc(...place(data[row * dim], data[row * dim + 1]), radius, 0, 2 * Math.PI)
    context.fill()
  }
}

function drawTable(canvas, frame, reference, side, colours) {
  const plot = new PairPlot()
  plot.show({ data: reference, samples: frame })
  // the same columns in the same order on both sides
  plot.columns = Array.from({ length: plot.num }, (_, column) => column)
  const context = sized(canvas, ...plot.size(side))
  plot.renderBase(context, ALL, colours)
}

/** A row of real images in `room` pixels. */
export function referenceRow(frame, room) {
  const [num, height, width] = frame.arrays.pixels.shape
  const cell = width > REFERENCE_CELL ? 48 : REFERENCE_CELL
  const count = Math.max(1, Math.min(num, 20, Math.floor((room + GAP) / (cell + GAP))))
  const row = make("div.bl-reference", { role: "img", "aria-label": `${count} images of the data` })
  for (let index = 0; index < count; index++) {
    const image = imageOf(frame, index)
    image.style.width = `${cell}px`
    image.style.height = `${(cell * height) / width}px`
    row.append(image)
  }
  return row
}
