// Energies of a model's samples under its own energy: all of them, and of them those selected.

import { faded } from "../../parts/colours.js"
import { figure, ticks } from "../../parts/formatting.js"
import { FONT, sized } from "../../pictures/drawing/plane.js"

const HEIGHT = 96
const [TOP, FOOT] = [6, 34]
const BINS = 40
/** Share of the values at each end that the axis leaves out: one far out flattens all. */
const TAIL = 0.01

/** The middle of some values, as the range of an axis; null where none is finite. */
export function middleOf(values) {
  const sorted = Float64Array.from(values.filter(Number.isFinite)).sort()
  if (!sorted.length) return null
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))]
  const [low, high] = [at(TAIL), at(1 - TAIL)]
  return high > low ? [low, high] : [low - 0.5, low + 0.5]
}

/** Counts of values by bin, those beyond the range in the bins at its ends. */
export function countsOf(values, [low, high], has = () => true) {
  const counts = Array.from({ length: BINS }, () => 0)
  values.forEach((value, place) => {
    if (!Number.isFinite(value) || !has(place)) return
    const bin = Math.floor(((value - low) / (high - low)) * BINS)
    counts[Math.max(0, Math.min(bin, BINS - 1))]++
  })
  return counts
}

/** Draw energies `width` pixels wide; returns their geometry, or null without energies. */
export function paintEnergies(canvas, values, selection, width, colour, colours) {
  const range = middleOf(values)
  if (!range) return null
  const context = sized(canvas, width, HEIGHT)
  const bottom = HEIGHT - FOOT
  const all = countsOf(values, range)
  const some = countsOf(values, range, (place) => selection.has(place))
  const most = Math.max(...all, 1)
  const bin = width / BINS
  const bars = (counts, style) => {
    context.fillStyle = style
    counts.forEach((number, place) => {
      const height = (number / most) * (bottom - TOP)
      context.fillRect(place * bin, bottom - height, bin - 0.5, height)
    })
  }
  bars(all, faded(colour, selection.size ? 0.25 : 0.6))
  if (selection.size) bars(some, colour)
  context.fillStyle = colours.line2
  context.fillRect(0, bottom, width, 1)
  context.fillStyle = colours.muted
  context.font = FONT
  context.textBaseline = "top"
  context.textAlign = "center"
  for (const value of ticks(range, 5)) {
    const x = ((value - range[0]) / (range[1] - range[0])) * width
    if (x > 14 && x < width - 14) context.fillText(figure(value), x, bottom + 4)
  }
  context.textAlign = "right"
  context.fillText("energy, nats", width - 2, bottom + 19)
  return { line: { left: 0, width, range }, values }
}
