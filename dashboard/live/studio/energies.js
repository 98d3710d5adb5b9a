// Energies of what was filled in beside those of what was hidden and of what costs nothing to fit:
// dots on one axis, a row each.

import { faded } from "../parts/colours.js"
import { make } from "../parts/dom.js"
import { figure, ticks } from "../parts/formatting.js"
import { FONT, sized } from "../pictures/drawing/plane.js"

const LINE = 22
const FOOT = 24
const [NAME, VALUE] = [150, 64]
const ROOM = 0.04
const ROWS = {
  filled: "filled in",
  whole: "the whole itself",
  nearest: "nearest event",
  gaussian: "one Gaussian",
  class_gaussian: "a Gaussian a class",
  mean_event: "mean event",
}

/** Rows of an answer: name, what it is, its values and their mean; [] where no energies are. */
export function energyRows(figures, frames) {
  if (!("energy" in figures)) return []
  const valuesAt = (path) => {
    const energies = frames.find(({ header }) => header.path === path)?.arrays.energies
    return energies ? Array.from(energies.data).filter(Number.isFinite) : []
  }
  return Object.entries(ROWS)
    .map(([name, title]) => {
      const mean = figures[name === "filled" ? "energy" : `energy/${name}`]
      const values = name === "filled" || name === "whole" ? valuesAt(name) : []
      return { name, title, mean, values: values.length ? values : [mean] }
    })
    .filter(({ mean }) => Number.isFinite(mean))
}

/** The section of an answer, `width` pixels wide; null where there is nothing to draw. */
export function energySection(figures, frames, width, colours) {
  const rows = energyRows(figures, frames)
  if (rows.length < 2) return null
  const said = rows.map(({ title, mean }) => `${title} ${figure(mean)}`).join(", ")
  const canvas = make("canvas", { role: "img", "aria-label": `Mean energies in nats: ${said}.` })
  paint(canvas, rows, width, colours)
  const about = "of whole events, in nats · lower is likelier · numbers are means"
  const head = make("header", {}, make("h2", {}, "Energies"), make("span.bl-muted", {}, about))
  return make("section.bl-panel.bl-energies", {}, head, canvas)
}

function paint(canvas, rows, width, colours) {
  const context = sized(canvas, width, rows.length * LINE + FOOT)
  const all = rows.flatMap(({ values, mean }) => [...values, mean])
  const [low, high] = [Math.min(...all), Math.max(...all)]
  const room = (high - low || 1) * ROOM
  const range = [low - room, high + room]
  const [left, right] = [NAME, width - VALUE]
  const at = (value) => left + ((value - range[0]) / (range[1] - range[0])) * (right - left)
  const bottom = rows.length * LINE
  context.font = FONT
  context.textBaseline = "middle"
  context.fillStyle = colours.line
  for (const value of ticks(range, 5)) context.fillRect(at(value), 0, 1, bottom)
  rows.forEach(({ name, title, values, mean }, index) => {
    const y = index * LINE + LINE / 2
    const isRival = name !== "filled" && name !== "whole"
    const colour = { filled: colours.samples, whole: colours.data }[name] ?? colours.muted
    context.textAlign = "left"
    context.fillStyle = isRival ? colours.muted : colours.text
    context.fillText(title, 0, y)
    context.textAlign = "right"
    context.fillText(figure(mean), width - 2, y)
    for (const value of values) dot(context, at(value), y, 3, faded(colour, 0.4))
    if (isRival) ring(context, at(mean), y, colours)
    else dot(context, at(mean), y, 4.5, colour)
  })
  context.fillStyle = colours.muted
  context.textBaseline = "top"
  context.textAlign = "center"
  for (const value of ticks(range, 5)) context.fillText(figure(value), at(value), bottom + 6)
}

function dot(context, x, y, radius, colour) {
  context.fillStyle = colour
  context.beginPath()
  context.arc(x, y, radius, 0, 2 * Math.PI)
  context.fill()
}

function ring(context, x, y, colours) {
  dot(context, x, y, 4.5, colours.bg)
  context.strokeStyle = colours.muted
  context.lineWidth = 1.5
  context.beginPath()
  context.arc(x, y, 4, 0, 2 * Math.PI)
  context.stroke()
}
