// A small picture of data, given as base64: points as dots, images as a grid.

import { coloursOf, faded } from "../parts/colours.js"
import { drawGrid } from "./drawing/images.js"
import { paintDots } from "./drawing/points.js"
import { planeOn, rangesOf } from "./drawing/plane.js"
import { paintText } from "./drawing/text.js"

/** As much room around the dots as keeps them off the axes. */
const ROOM = 0.06
/** By how many pixels a plane with named axes is higher than wide. */
const NAMES = 20

function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
}

/** Draws {kind, shape, values} on a canvas `side` pixels wide; the first two coordinates of points. */
export function drawCloud(canvas, preview, side) {
  if (preview.kind === "text") {
    const rows = preview.values.map((line) => [line])
    return paintText(
      canvas,
      { columns: ["text"], rows, text: "text" },
      [side, side],
      coloursOf(canvas),
    )
  }
  const data = bytes(preview.values)
  if (preview.kind === "images") {
    const frame = { arrays: { pixels: { shape: preview.shape, data } } }
    drawGrid(canvas, frame, { width: side, count: side > 150 ? 64 : 9 })
    return
  }
  const ratio = window.devicePixelRatio || 1
  canvas.width = canvas.height = side * ratio
  canvas.style.width = canvas.style.height = `${side}px`
  const context = canvas.getContext("2d")
  context.setTransform(ratio, 0, 0, ratio, 0, 0)
  const colours = coloursOf(canvas)
  const [num, dim] = preview.shape
  const points = new Float32Array(data.buffer)
  const at = (row, axis) => (dim > axis ? points[row * dim + axis] : 0)
  const ends = [0, 1].map((axis) => {
    let [low, high] = [Infinity, -Infinity]
    for (let row = 0; row < num; row++) {
      low = Math.min(low, at(row, axis))
      high = Math.max(high, at(row, axis))
    }
    return [low, high]
  })
  const span = Math.max(ends[0][1] - ends[0][0], ends[1][1] - ends[1][0]) * 1.12 || 1
  const centre = ends.map(([low, high]) => (low + high) / 2)
  const place = (value, axis) => side / 2 + ((value - centre[axis]) / span) * side * (axis ? -1 : 1)
  const radius = side > 150 ? 1.6 : 1
  context.fillStyle = faded(colours.data, side > 150 ? 0.55 : 0.7)
  const most = side > 150 ? num : Math.min(num, 350)
  for (let row = 0; row < most; row++) {
    context.beginPath()
    context.arc(place(at(row, 0), 0), place(at(row, 1), 1), radius, 0, 2 * Math.PI)
    context.fill()
  }
}

/** The same with axes that are named by the columns, as large as data are looked at. */
export function drawPreview(canvas, { preview, columns = [], walk = [] }, side) {
  if (preview.kind !== "points") return drawCloud(canvas, preview, side)
  const { shape } = preview
  const positions = { shape, data: new Float32Array(bytes(preview.values).buffer) }
  const names = ["x₁", "x₂"].slice(0, shape[1]).map((name, axis) => columns[axis] ?? name)
  const colours = coloursOf(canvas)
  const ranges = rangesOf(positions, { room: ROOM })
  const plane = planeOn(canvas, side - NAMES, ranges, colours, names)
  paintDots(plane, positions, () => faded(colours.data, walk.length ? 0.35 : 0.55), 1.6)
  if (walk.length > 1) paintWalk(plane, walk, colours)
}

/** Length of the median step of a walk [[x, y], ...]. */
export function stepOf(walk) {
  const lengths = walk
    .slice(1)
    .map(([x, y], index) => Math.hypot(x - walk[index][0], y - walk[index][1]))
    .toSorted((one, other) => one - other)
  return lengths[lengths.length >> 1]
}

/** The path of a chain, fainter where it was longer ago, and a ring around its start as wide as one
 * step is long. */
function paintWalk({ context, place }, walk, colours) {
  const places = walk.map(([x, y]) => place(x, y))
  const start = places[0]
  const step = stepOf(walk)
  const [right, top] = place(walk[0][0] + step, walk[0][1] + step)
  context.strokeStyle = colours.chains
  context.lineWidth = 1.5
  context.beginPath()
  context.ellipse(...start, Math.abs(right - start[0]), Math.abs(top - start[1]), 0, 0, 2 * Math.PI)
  context.stroke()
  for (let index = 1; index < places.length; index++) {
    context.strokeStyle = faded(colours.chains, 0.25 + (0.65 * index) / places.length)
    context.beginPath()
    context.moveTo(...places[index - 1])
    context.lineTo(...places[index])
    context.stroke()
  }
  context.fillStyle = colours.chains
  context.beginPath()
  context.arc(...places.at(-1), 3, 0, 2 * Math.PI)
  context.fill()
}
