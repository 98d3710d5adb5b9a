// What Plotly draws of one line: its curve, raw and smooth, or the band of its seeds.

import { faded } from "../parts/colours.js"
import { figure } from "../parts/formatting.js"
import { band, COSTS, firstAt, smoothed, thinned } from "../stream/curves.js"
import { median } from "./small_charts.js"

const SMOOTH_FROM = 30
const SMOOTH_POINTS = 200
const MOST_MARKS = 200
/** Fewer values are points: a line through a handful of them would draw their noise. */
export const LINE_FROM = 8
/** Seeds beyond which a band is of 10 to 90 % of them; as `band` has it. */
const MOST_RANGED = 5

/**
 * The traces of a line's `members` that have values, [{path, curves, isFinalApart: its last value is
 * of another number of samples than the curve}], and what is to be said of
 * them: {traces, notes: [text], isBucketed}. `view`: {axis, zoom, smoothing, log, title, isCrowded:
 * raw values beside smooth ones would hide the other lines}.
 */
export function tracesOf(line, members, view, colours) {
  const hex = line.colour(colours)
  const name = line.name || view.title
  const drawn = members.map((member) => curveOf(member, line, view))
  const stroke = { color: hex, width: line.isReference ? 1.3 : 1.8, dash: line.dash ?? "solid" }
  const extra = (words) => `%{y:.4g}<extra>${words.replace(/[<>&]/g, " ")}</extra>`
  const hovertemplate = extra(name)
  const base = { name, mode: "lines", line: stroke }
  if (line.isReference) {
    const [{ x, y }] = drawn
    return only([{ ...base, x, y, opacity: 0.75, hoverinfo: "skip" }])
  }
  const finals = drawn.filter(({ last }) => last).map(({ last }) => last)
  const apart = finals.length ? [finalMark(finals, hex, `${name}, final`, extra)] : []
  if (members.length > 1) return ofSeeds(drawn, { ...base, hovertemplate }, hex, apart)
  const [curve] = drawn
  const isBucketed = lacksRows(curve)
  const smooth = { ...base, x: curve.x, y: curve.y }
  if (curve.isSmooth && view.isCrowded) {
    return { traces: [{ ...smooth, hovertemplate }, ...apart], notes: [], isBucketed }
  }
  const raw = {
    ...base,
    x: curve.x,
    y: curve.raw,
    mode: curve.rows.length < LINE_FROM ? "markers" : "lines",
    line: curve.isSmooth ? { color: faded(hex, 0.28), width: 1 } : { ...stroke, width: 1.6 },
    marker: { size: 6, color: hex },
    hovertemplate,
  }
  const lost = lostRows(curve.columns.value, view.log)
  const marks = lost.length ? [edgeMarks(lost, curve.columns, view.axis, hex)] : []
  const means = curve.isSmooth ? [{ ...smooth, hoverinfo: "skip" }] : []
  return {
    traces: [raw, ...means, ...apart, ...marks],
    notes: notesOn(lost, curve.columns),
    isBucketed,
  }
}

function only(traces) {
  return { traces, notes: [], isBucketed: false }
}

function canDraw(value, log) {
  return Number.isFinite(value) && !(log && value <= 0)
}

/** The rows of a member that are drawn, raw and smooth. */
function curveOf({ curves, path, isFinalApart }, line, { axis, zoom, smoothing, log }) {
  const { columns, last } = isFinalApart
    ? apartFromLast(curves.detailed(path), axis, log)
    : { columns: curves.detailed(path) }
  const { value } = columns
  const inside = inSight(columns[axis], zoom)
  const rows = [
    ...thinned(value, undefined, 0, inside[0]),
    ...thinned(value, undefined, ...inside),
    ...thinned(value, undefined, inside[1], value.length),
  ]
  const isSmooth = rows.length >= SMOOTH_FROM && smoothing > 0 && !line.isReference
  // the same share of the picture is averaged, however many points there are
  const weight = smoothing ** Math.min(1, SMOOTH_POINTS / value.length)
  const means = isSmooth ? smoothed(value, weight, log) : value
  const drawn = (values) => rows.map((row) => (canDraw(values[row], log) ? values[row] : null))
  const x = rows.map((row) => columns[axis][row])
  return { columns, inside, rows, isSmooth, x, raw: drawn(value), y: drawn(means), last }
}

/** Columns without their last row, and that row as {x, y}. */
function apartFromLast(whole, axis, log) {
  const end = whole.value.length - 1
  const columns = { ...whole }
  for (const name of [...COSTS, "value"]) columns[name] = whole[name].slice(0, end)
  const [x, y] = [whole[axis][end], whole.value[end]]
  return { columns, last: canDraw(y, log) ? { x, y } : null }
}

/** Final figures as one mark: the median, and a bar over the range of several seeds. */
function finalMark(finals, hex, name, extra) {
  const middle = median(finals.map(({ y }) => y))
  const [low, high] = [Math.min(...finals.map(({ y }) => y)), Math.max(...finals.map(({ y }) => y))]
  return {
    x: [median(finals.map(({ x }) => x))],
    y: [middle],
    name,
    mode: "markers",
    marker: { symbol: "diamond", size: 9, color: hex },
    error_y: {
      type: "data",
      symmetric: false,
      array: [high - middle],
      arrayminus: [middle - low],
      color: hex,
      thickness: 1.2,
      visible: finals.length > 1,
    },
    hovertemplate: extra(name),
  }
}

/**
 * The y range of what is in sight, in the axis's own terms; null leaves it to Plotly. A zoom shows
 * its stretch at full height, and a handful of points on a log axis get a decade at least, with the
 * `references` in sight: their noise is no drama.
 */
export function rangeOf(traces, { zoom, log, references }) {
  const drawn = traces.filter(({ yaxis, y }) => yaxis !== "y2" && y)
  const isFew = drawn.every(({ x }) => x.length < LINE_FROM)
  if (!zoom && !(isFew && log)) return null
  const inside = (x) => !zoom || (x >= zoom[0] && x <= zoom[1])
  const values = drawn.flatMap(({ x, y }) => y.filter((_, row) => inside(x[row])))
  const known = (zoom ? values : [...values, ...references]).filter(
    (value) => value !== null && canDraw(value, log),
  )
  if (!known.length) return null
  const scaled = known.map(log ? Math.log10 : (value) => value)
  const [low, high] = [
    scaled.reduce((a, b) => Math.min(a, b)),
    scaled.reduce((a, b) => Math.max(a, b)),
  ]
  const least = isFew && log ? 1 : log ? 0.02 : Math.abs(high) * 1e-3 || 1e-3
  const [middle, half] = [(low + high) / 2, Math.max(high - low, least) * 0.54]
  return [middle - half, middle + half]
}

/** True where fewer points are drawn in sight than the run has. */
function lacksRows({ columns, inside, rows }) {
  const numDrawn = rows.filter((row) => row >= inside[0] && row < inside[1]).length
  const first = columns.step[inside[0]]
  const isFine = first >= columns.bucketedTo || (columns.fine && columns.from <= first)
  return (columns.bucketed && !isFine) || numDrawn < inside[1] - inside[0]
}

/** First row in sight and the one after the last, each with a neighbour that leads out of it. */
function inSight(x, zoom) {
  if (!zoom) return [0, x.length]
  return [Math.max(firstAt(x, zoom[0]) - 1, 0), Math.min(firstAt(x, zoom[1]) + 1, x.length)]
}

/** Seeds: their median and band; the values of a handful of evaluations are dots, with no line. */
function ofSeeds(curves, base, hex, apart) {
  if (curves.every(({ rows }) => rows.length < LINE_FROM)) {
    const marker = { size: 6, color: faded(hex, 0.7) }
    const dots = { x: curves.flatMap(({ x }) => x), y: curves.flatMap(({ raw }) => raw), marker }
    const notes = [`a dot for each of ${curves.length} seeds`]
    return { traces: [{ ...base, ...dots, mode: "markers" }, ...apart], notes, isBucketed: false }
  }
  const range = curves.length > MOST_RANGED ? "10 to 90 % of them" : "their range"
  const notes = [`median of ${curves.length} seeds, band ${range}`]
  return { traces: [...banded(curves, base, hex), ...apart], notes, isBucketed: false }
}

/** The median, and a band from the least to the greatest (10 to 90 % of many). */
function banded(curves, base, hex) {
  const { x, middle, low, high } = band(curves)
  // an edge, else a narrow band is not seen beside its line
  const edge = { mode: "lines", line: { width: 0.8, color: faded(hex, 0.5) }, hoverinfo: "skip" }
  return [
    { x, y: low, ...edge },
    { x, y: high, ...edge, fill: "tonexty", fillcolor: faded(hex, 0.22) },
    { ...base, x, y: middle },
  ]
}

function lostRows(values, log) {
  return Array.from(values.keys()).filter((row) => !canDraw(values[row], log))
}

function notesOn(lost, { value }) {
  const infinite = lost.filter((row) => !Number.isFinite(value[row])).length
  return [
    ...(infinite ? [`${infinite} not finite`] : []),
    ...(lost.length > infinite ? [`${lost.length - infinite} not above 0`] : []),
  ]
}

/** Triangles at the edge, where a curve has values that cannot be drawn. */
function edgeMarks(rows, columns, axis, colour) {
  const every = Math.ceil(rows.length / MOST_MARKS)
  const some = rows.filter((_, place) => place % every === 0)
  const isBelow = (row) => columns.value[row] <= 0
  return {
    x: some.map((row) => columns[axis][row]),
    y: some.map((row) => (isBelow(row) ? 0.03 : 0.97)),
    yaxis: "y2",
    name: "cannot be drawn",
    mode: "markers",
    text: some.map((row) => figure(columns.value[row])),
    marker: {
      color: colour,
      size: 7,
      symbol: some.map((row) => (isBelow(row) ? "triangle-down" : "triangle-up")),
    },
    hovertemplate: "%{text}<extra>cannot be drawn</extra>",
  }
}
