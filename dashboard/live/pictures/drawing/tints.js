// What the dots of a plane are coloured by: their layer, their energy or their class.

import { colourAt } from "../../parts/colours.js"
import { classColour } from "./points.js"

export const TINTS = { layer: "what they are", energy: "energy", class: "class" }

/** What the frames {layer: frame} hold to colour dots by: a list of keys of TINTS. */
export function tintsOf(frames) {
  const arrays = Object.values(frames).map((frame) => frame?.arrays ?? {})
  return Object.keys(TINTS).filter(
    (tint) =>
      tint === "layer" ||
      arrays.some(({ energies, labels }) => (tint === "energy" ? energies : labels)),
  )
}

/** The lowest and the highest energy of the frames, without the hundredth part at either end. */
export function energyRange(frames) {
  const values = Object.values(frames)
    .flatMap((frame) => [...(frame?.arrays.energies?.data ?? [])])
    .filter(Number.isFinite)
    .sort((a, b) => a - b)
  const at = (share) => values[Math.round(share * (values.length - 1))] ?? NaN
  return [at(0.01), at(0.99)]
}

/** The colour of each row of a frame by a tint, as a function; null where its layer's stands. */
export function tintOf(frame, tint, [low, high], colours) {
  const { energies, labels } = frame.arrays
  if (tint === "class" && labels) return (row) => classColour(labels.data[row], colours)
  if (tint !== "energy" || !energies) return null
  return (row) => {
    const value = energies.data[row]
    if (!Number.isFinite(value)) return colours.alarm
    // likely is the end that the landscape's colours have for it
    const share = high > low ? (high - value) / (high - low) : 1
    return colourAt(colours.sequential, Math.min(Math.max(share, 0), 1))
  }
}
