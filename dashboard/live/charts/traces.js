// What Plotly draws of one line: its curve, raw and smooth, or the band of its seeds.

import { faded } from "../parts/colours.js"
import { figure } from "../parts/formatting.js"
import { band, firstAt, smoothed, thinned } from "../stream/curves.js"

const SMOOTH_FROM = 30
const SMOOTH_POINTS = 200
const MOST_MARKS = 200
/** Values with fewer are drawn as points too. */
const LINE_FROM = 8

/**
 * The traces of a line's `members` that have values, [{path, curves}], and what is to be said of
 * them: {traces, notes: [text], isBucketed}. `view`: {axis, zoom, smoothing, log, title, isCrowded:
 * raw values beside smooth ones would hide the other lines}.
 */
export function tracesOf(line, members, view, colours) {
  const hex = line.colour(colours)
  const name = line.name || view.title
  const drawn = members.map((member) => curveOf(member, line, view))
  const stroke = { color: hex, width: line.isReference ? 1.3 : 1.8, dash: line.dash ?? "solid" }
  const hovertemplate = `%{y:.4g}<extra>${(line.name || "").replace(/[<>&]/g, " ")}</extra>`
  const base = { name, mode: "lines", line: stroke }
  if (line.isReference) {
    const [{ x, y }] = drawn
    return only([{ ...base, x, y, opacity: 0.75, hoverinfo: "skip" }])
  }
  if (members.length > 1) return only(banded(drawn, { ...base, hovertemplate }, hex))
  const [curve] = drawn
  const isBucketed = lacksRows(curve)
  const smooth = { ...base, x: curve.x, y: curve.y }
  if (curve.isSmooth && view.isCrowded) {
    return { traces: [{ ...smooth, hovertemplate }], notes: [], isBucketed }
  }
  const raw = {
    ...base,
    x: curve.x,
    y: curve.raw,
    mode: curve.rows.length < LINE_FROM ? "lines+markers" : "lines",
    line: curve.isSmooth ? { color: faded(hex, 0.28), width: 1 } : { ...stroke, width: 1.6 },
    marker: { size: 5 },
    hovertemplate,
  }
  const lost = lostRows(curve.columns.value, view.log)
  const marks = lost.length ? [edgeMarks(lost, curve.columns, view.axis, hex)] : []
  const means = curve.isSmooth ? [{ ...smooth, hoverinfo: "skip" }] : []
  return { traces: [raw, ...means, ...marks], notes: notesOn(lost, curve.columns), isBucketed }
}

function only(traces) {
  return { traces, notes: [], isBucketed: false }
}

function canDraw(value, log) {
  return Number.isFinite(value) && !(log && value <= 0)
}

/** The rows of a member that are drawn, raw and smooth. */
function curveOf({ curves, path }, line, { axis, zoom, smoothing, log }) {
  const columns = curves.detailed(path)
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
  return { columns, inside, rows, isSmooth, x, raw: drawn(value), y: drawn(means) }
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

/** Seeds: their median, and a band from the least to the greatest (10 to 90 % of many). */
function banded(curves, base, hex) {
  const { x, middle, low, high } = band(curves)
  const edge = { mode: "lines", line: { width: 0 }, hoverinfo: "skip" }
  return [
    { x, y: low, ...edge },
    { x, y: high, ...edge, fill: "tonexty", fillcolor: faded(hex, 0.16) },
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
