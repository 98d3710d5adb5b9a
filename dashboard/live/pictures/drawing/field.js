// A scalar field over a 2-D grid, as a picture and as contours. Energies are above the lowest one,
// in nats, and are drawn as the density exp(−E/T), 1 at its peak; other quantities as they are.

import { ramp } from "../../parts/colours.js"

const ENERGY_CUT = 10
const DENSITY_CONTOURS = [0.08, 0.3, 0.65]
const CONTOURS = [0.25, 0.5, 0.75]

const isEnergy = (frame) => (frame.header.meta.quantity ?? "energy") === "energy"

/** The density, 1 at its peak, of each value of a Field frame of energies. */
export function densities(frame) {
  const temperature = frame.header.meta.temperature || 1
  return Float32Array.from(frame.arrays.values.data, (value) => Math.exp(-value / temperature))
}

/** The lowest and highest value of the colours of a quantity that is no energy. */
export function rangeOf(frame) {
  const { colour_range: shared } = frame.header.meta
  if (shared?.length) return shared
  const { data } = frame.arrays.values
  let [low, high] = [Infinity, -Infinity]
  for (const value of data) {
    if (!Number.isFinite(value)) continue
    low = Math.min(low, value)
    high = Math.max(high, value)
  }
  if (low > high) return [0, 1]
  const isShare = frame.header.meta.quantity === "probability" && low >= 0 && high <= 1
  return isShare ? [0, 1] : [low, high]
}

/** The place of each value between the ends of the colours, 0 to 1; NaN where it is no number. */
export function shades(frame, view = "density", peak = 1) {
  const { data } = frame.arrays.values
  if (!isEnergy(frame)) {
    const [low, high] = rangeOf(frame)
    return Float32Array.from(data, (value) => (value - low) / (high - low || 1))
  }
  const temperature = frame.header.meta.temperature || 1
  if (view === "energy") {
    return Float32Array.from(data, (value) => 1 - Math.min(value / temperature / ENERGY_CUT, 1))
  }
  // the root shows the bridges between modes, which a straight scale hides
  return Float32Array.from(data, (value) =>
    Math.min(Math.sqrt(Math.exp(-value / temperature) / peak), 1),
  )
}

/** A canvas of one pixel a grid point, row 0 at the bottom. view, of energies: "density" or "energy". */
export function paintField(frame, colours, view = "density", peak = 1) {
  const [height, width] = frame.arrays.values.shape
  const canvas = document.createElement("canvas")
  canvas.width = width
  canvas.height = height
  const context = canvas.getContext("2d")
  const image = context.createImageData(width, height)
  const table = ramp(colours.sequential)
  const shares = shades(frame, view, peak)
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const share = shares[row * width + column]
      const from = 3 * Math.round(255 * share)
      const to = 4 * ((height - 1 - row) * width + column)
      image.data[to] = table[from]
      image.data[to + 1] = table[from + 1]
      image.data[to + 2] = table[from + 2]
      image.data[to + 3] = Number.isNaN(share) ? 0 : 255
    }
  }
  context.putImageData(image, 0, 0)
  return canvas
}

/**
 * Line segments [x0, y0, x1, y1] in grid units: along which the density is a share of its peak, or
 * another quantity a share of its range.
 */
export function contours(frame) {
  const shape = frame.arrays.values.shape
  if (isEnergy(frame)) return segmentsAt(densities(frame), shape, DENSITY_CONTOURS)
  return segmentsAt(shades(frame), shape, CONTOURS)
}

/** Marching squares over a grid of values. */
function segmentsAt(values, [height, width], levels) {
  const places = [
    [0, 0],
    [1, 0],
    [1, 1],
    [0, 1],
  ]
  const segments = []
  for (const level of levels) {
    for (let row = 0; row < height - 1; row++) {
      for (let column = 0; column < width - 1; column++) {
        const at = row * width + column
        const corners = [values[at], values[at + 1], values[at + width + 1], values[at + width]]
        // nothing is known there, so no line runs through it
        if (corners.some(Number.isNaN)) continue
        const crossings = []
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
