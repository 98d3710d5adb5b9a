// A scalar field over a 2-D grid, as a picture and as contours. Values are energies above the
// lowest one, in nats; density is exp(−E/T), 1 at its peak.

import { ramp } from "../parts/colours.js"

const ENERGY_CUT = 10
const CONTOURS = [0.08, 0.3, 0.65]

/** How likely, 0 to 1, each value of a Field frame is. */
export function densities(frame) {
  const { data } = frame.arrays.values
  const temperature = frame.header.meta.temperature || 1
  const result = new Float32Array(data.length)
  for (let i = 0; i < data.length; i++) result[i] = Math.exp(-data[i] / temperature)
  return result
}

/** A canvas of one pixel a grid point, row 0 at the bottom. view: "density" or "energy". */
export function paintField(frame, colours, view = "density", peak = 1) {
  const [height, width] = frame.arrays.values.shape
  const canvas = document.createElement("canvas")
  canvas.width = width
  canvas.height = height
  const context = canvas.getContext("2d")
  const image = context.createImageData(width, height)
  const table = ramp(colours.sequential)
  const values = frame.arrays.values.data
  const temperature = frame.header.meta.temperature || 1
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const value = values[row * width + column] / temperature
      // the root shows the bridges between modes, which a straight scale hides
      const share =
        view === "energy"
          ? 1 - Math.min(value / ENERGY_CUT, 1)
          : Math.min(Math.sqrt(Math.exp(-value) / peak), 1)
      const from = 3 * Math.round(255 * share)
      const to = 4 * ((height - 1 - row) * width + column)
      image.data[to] = table[from]
      image.data[to + 1] = table[from + 1]
      image.data[to + 2] = table[from + 2]
      image.data[to + 3] = 255
    }
  }
  context.putImageData(image, 0, 0)
  return canvas
}

/** Line segments [x0, y0, x1, y1] in grid units along which the density is a share of its peak. */
export function contours(frame) {
  const [height, width] = frame.arrays.values.shape
  const density = densities(frame)
  const segments = []
  for (const level of CONTOURS) {
    for (let row = 0; row < height - 1; row++) {
      for (let column = 0; column < width - 1; column++) {
        const at = row * width + column
        const corners = [density[at], density[at + 1], density[at + width + 1], density[at + width]]
        const crossings = []
        const places = [
          [0, 0],
          [1, 0],
          [1, 1],
          [0, 1],
        ]
        for (let side = 0; side < 4; side++) {
          const [a, b] = [corners[side], corners[(side + 1) % 4]]
          if (a < level === b < level) continue
          const share = (level - a) / (b - a)
          const [p, q] = [places[side], places[(side + 1) % 4]]
          crossings.push([
            column + p[0] + share * (q[0] - p[0]),
            row + p[1] + share * (q[1] - p[1]),
          ])
        }
        for (let i = 0; i + 1 < crossings.length; i += 2) {
          segments.push([...crossings[i], ...crossings[i + 1]])
        }
      }
    }
  }
  return segments
}
