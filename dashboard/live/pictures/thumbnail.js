// A small picture of data, given as base64: points as dots, images as a grid.

import { coloursOf, faded } from "../parts/colours.js"
import { figure } from "../parts/formatting.js"
import { drawGrid } from "./drawing/images.js"

function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
}

/** Draws {kind, shape, values} on a canvas `side` pixels wide; the first two coordinates of points. */
export function drawCloud(canvas, preview, side, { axes = false, columns = [] } = {}) {
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
  if (axes) drawRanges(context, side, ends.slice(0, dim), columns, colours)
}

/** The range of each axis at its end, by the column's name where there is one. */
function drawRanges(context, side, ends, columns, colours) {
  const words = ends.map(
    ([low, high], axis) =>
      `${columns[axis] ?? (axis ? "x₂" : "x₁")}, ${figure(low)} to ${figure(high)}`,
  )
  context.fillStyle = colours.muted
  context.font = "12px 'Source Sans', sans-serif"
  context.textAlign = "right"
  context.fillText(words[0], side - 4, side - 6)
  context.textAlign = "left"
  if (words.length > 1) context.fillText(words[1], 4, 14)
}
