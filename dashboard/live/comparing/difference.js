// The difference of two models: of their log densities on one grid, or of images cell by cell.

import { ramp } from "../parts/colours.js"
import { densities } from "../pictures/drawing/field.js"

/** Nats at which the colours end. */
export const MOST_NATS = 2
/** Share of the peak at which colours have faded by half: where neither has density, none differ. */
const FADE = 0.02

/**
 * log p of `second` − log p of `first` on the grid of the first, both normalised over their field;
 * `share`: the larger density of both, 1 at the peak. Where the second has no value it is NaN.
 */
export function logDifference(first, second) {
  const [rows, columns] = first.arrays.values.shape
  const [a, b] = [logDensityOf(first), logDensityOf(second)]
  const nats = new Float32Array(rows * columns)
  const share = new Float32Array(rows * columns)
  const { x_range: xs, y_range: ys } = first.header.meta
  let peak = -Infinity
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const x = xs[0] + ((xs[1] - xs[0]) * column) / (columns - 1)
      const y = ys[0] + ((ys[1] - ys[0]) * row) / (rows - 1)
      const at = row * columns + column
      const [p, q] = [a(x, y), b(x, y)]
      nats[at] = q - p
      share[at] = Number.isNaN(q) ? p : Math.max(p, q)
      peak = Math.max(peak, share[at])
    }
  }
  return { nats, share: share.map((value) => Math.exp(value - peak)), rows, columns }
}

/** log p(x, y) of a field of energies, between its grid points linearly. */
function logDensityOf(frame) {
  const { x_range: xs, y_range: ys, temperature } = frame.header.meta
  const { data, shape } = frame.arrays.values
  const [rows, columns] = shape
  const cell = ((xs[1] - xs[0]) * (ys[1] - ys[0])) / data.length
  const mass = densities(frame).reduce((sum, value) => sum + value, 0) * cell
  const at = (row, column) => -data[row * columns + column] / (temperature || 1) - Math.log(mass)
  return (x, y) => {
    const column = ((x - xs[0]) / (xs[1] - xs[0])) * (columns - 1)
    const row = ((y - ys[0]) / (ys[1] - ys[0])) * (rows - 1)
    if (!(column >= 0 && row >= 0 && column <= columns - 1 && row <= rows - 1)) return NaN
    const [left, low] = [
      Math.min(Math.floor(column), columns - 2),
      Math.min(Math.floor(row), rows - 2),
    ]
    const [u, v] = [column - left, row - low]
    return (
      (1 - v) * ((1 - u) * at(low, left) + u * at(low, left + 1)) +
      v * ((1 - u) * at(low + 1, left) + u * at(low + 1, left + 1))
    )
  }
}

/** A canvas of one pixel a grid point, row 0 at the bottom: blue lower, brown higher. */
export function paintDifference({ nats, share, rows, columns }, colours) {
  const canvas = document.createElement("canvas")
  canvas.width = columns
  canvas.height = rows
  const context = canvas.getContext("2d")
  const image = context.createImageData(columns, rows)
  const table = ramp(colours.diverging)
  for (let at = 0; at < nats.length; at++) {
    const strength = share[at] / (share[at] + FADE)
    const value = Math.max(-1, Math.min(1, (nats[at] / MOST_NATS) * strength))
    const from = 3 * Math.round(127.5 * (1 + (value || 0)))
    const row = rows - 1 - Math.floor(at / columns)
    const to = 4 * (row * columns + (at % columns))
    for (let c = 0; c < 3; c++) image.data[to + c] = table[from + c]
    image.data[to + 3] = Number.isNaN(nats[at]) ? 0 : 255
  }
  context.putImageData(image, 0, 0)
  return canvas
}

/** An Images frame of `second` − `first`, cell by cell, in the colours of differences. */
export function imageDifference(first, second, colours) {
  const [a, b] = [first.arrays.pixels, second.arrays.pixels]
  const num = Math.min(a.shape[0], b.shape[0])
  const [, height, width, channels = 1] = a.shape
  const table = ramp(colours.diverging)
  const data = new Uint8ClampedArray(num * height * width * 3)
  for (let pixel = 0; pixel < num * height * width; pixel++) {
    let sum = 0
    for (let c = 0; c < channels; c++) {
      sum += b.data[pixel * channels + c] - a.data[pixel * channels + c]
    }
    const from = 3 * Math.round(127.5 + sum / channels / 2)
    for (let c = 0; c < 3; c++) data[3 * pixel + c] = table[from + c]
  }
  const { header } = second
  return { header, arrays: { pixels: { shape: [num, height, width, 3], data } } }
}
