// What a grid of sample sets is made of: where each cell lies, what is shown of it, in which words.

import { figure } from "../../parts/formatting.js"
import { FIGURES } from "../../parts/vocabulary.js"

/** Figures by which a grid is judged first; the first that its cells have. */
const FIRST = ["energy_distance", "frechet_features", "mmd", "energy"]
const MORE = { energy: "Mean energy, nats", seconds: "Seconds of drawing", joules: "Joules" }
/** A ratio of the ends of a range beyond which its scale is logarithmic. */
const LOG_FROM = 5

/** The axes as they lie: x, y and z (or null), `swapped` across and down; and the place of a cell. */
export function layoutOf(axes, swapped = false) {
  const [first, second, third = null] = axes
  const [x, y] = swapped ? [second, first] : [first, second]
  const [numX, numY] = [x.values.length, y.values.length]
  const at = (column, row, page) => {
    const [a, b] = swapped ? [row, column] : [column, row]
    return a + first.values.length * (b + second.values.length * page)
  }
  return { x, y, z: third, numX, numY, numZ: third?.values.length ?? 1, at }
}

/** The values of a cell along the axes, in words: "step size 0.1 · sampler steps 10". */
export function placeWords(axes, index) {
  let rest = index
  return axes.map((axis) => {
    const value = axis.values[rest % axis.values.length]
    rest = Math.floor(rest / axis.values.length)
    return `${axis.words} ${valueWords(value)}`
  })
}

export function valueWords(value) {
  return typeof value === "number" ? plain(value) : String(value)
}

/** A setting as it was typed: whole numbers whole, however large. */
function plain(value) {
  return String(value).replace(/^-/, "−")
}

/** Names of the figures that cells have, the one to judge by first. */
export function figureNames(cells) {
  const names = new Set()
  for (const cell of cells) {
    for (const name of Object.keys(cell.figures)) if (!name.includes("/")) names.add(name)
    if (cell.seconds !== null) names.add("seconds")
    if (cell.joules !== null) names.add("joules")
  }
  names.delete("not_finite")
  const first = FIRST.filter((name) => names.has(name))
  return [...new Set([...first, ...names])]
}

export function figureTitle(name) {
  return MORE[name] ?? FIGURES[name] ?? name.replaceAll("_", " ")
}

/** The figure of a cell that is drawn; null where it has none. */
export function valueOf(cell, name) {
  if (cell?.state !== "done") return null
  const value = name === "seconds" || name === "joules" ? cell[name] : cell.figures[name]
  return value ?? null
}

/** A scale from values to shares, 0 the highest and 1 the lowest; {share, low, high, isLog}. */
export function scaleOf(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)]
  const isLog = low > 0 && high / low > LOG_FROM
  const turn = isLog ? Math.log : (value) => value
  const span = turn(high) - turn(low)
  return { low, high, isLog, share: (value) => (span ? (turn(high) - turn(value)) / span : 1) }
}

/** A cell in one line, for who hovers over it or cannot see it. */
export function cellWords(axes, index, cell, name) {
  const place = placeWords(axes, index).join(" · ")
  if (!cell || cell.state === "waiting") return `${place}: waits to be drawn`
  if (cell.state === "drawing") return `${place}: ${cell.num_drawn} of ${cell.num} samples`
  if (cell.state === "failed") return `${place}: failed. ${cell.reason}`
  const value = valueOf(cell, name)
  const floor = cell.figures[`${name}/floor`]
  const beside = floor === undefined ? "" : `, floor ${figure(floor)}`
  const cost = cell.seconds === null ? "" : `, ${figure(cell.seconds)} s of drawing`
  return `${place}: ${figureTitle(name)} ${figure(value)}${beside}${cost}`
}
