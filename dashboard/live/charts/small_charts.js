// Small charts of a few figures, drawn whole as SVG: scales, ticks, labels that keep apart.

import { figure } from "../parts/formatting.js"

const SVG = "http://www.w3.org/2000/svg"
const LABEL = 15

// ---------------------------------------------------------------------- scales

export function scaleOf(values, log, [from, to], { zero = false, include = [] } = {}) {
  const known = [...values, ...include].filter(
    (value) => Number.isFinite(value) && (!log || value > 0),
  )
  let [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [log ? 0.1 : 0, 1]
  if (zero && !log) [low, high] = [Math.min(low, 0), Math.max(high, 0)]
  const of = log ? Math.log10 : (value) => value
  let [a, b] = [of(low), of(high)]
  const room = (b - a || (log ? 0.6 : Math.abs(b) || 1)) * 0.07
  if (!(zero && low === 0)) a -= room
  b += room
  const at = (value) => from + ((of(value) - a) / (b - a)) * (to - from)
  return {
    at,
    log,
    ticks: log ? decades(a, b) : steps(a, b),
    fits: (value) => Number.isFinite(value) && (!log || value > 0),
  }
}

function decades(a, b) {
  for (const parts of [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9]]) {
    const values = []
    for (let power = Math.floor(a); power <= Math.ceil(b); power++) {
      for (const part of parts) values.push(part * 10 ** power)
    }
    const inside = values.filter((value) => Math.log10(value) >= a && Math.log10(value) <= b)
    if (inside.length >= 3) return inside.filter((_, index) => inside.length < 7 || index % 2 === 0)
  }
  return steps(10 ** a, 10 ** b).filter((value) => value > 0)
}

function steps(a, b) {
  const raw = (b - a) / 4 || 1
  const power = 10 ** Math.floor(Math.log10(raw))
  const step = [1, 2, 5, 10].map((part) => part * power).find((value) => value >= raw)
  const values = []
  for (let value = Math.ceil(a / step) * step; value <= b + step * 1e-6; value += step) {
    values.push(Math.abs(value) < step * 1e-6 ? 0 : value)
  }
  return values
}

// ---------------------------------------------------------------------- drawing

export function svgOf(width, height) {
  const svg = document.createElementNS(SVG, "svg")
  for (const [name, value] of Object.entries({
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
  })) {
    svg.setAttribute(name, value)
  }
  svg.add = (tag, attributes, text) => {
    const element = document.createElementNS(SVG, tag)
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
    if (text !== undefined) element.textContent = text
    svg.append(element)
    return element
  }
  svg.line = (x1, y1, x2, y2, stroke, more = {}) =>
    svg.add("line", { x1, y1, x2, y2, stroke, ...more })
  svg.words = (text, x, y, fill, more = {}) =>
    svg.add("text", { x, y, fill, "font-size": 12, "dominant-baseline": "central", ...more }, text)
  svg.dot = (cx, cy, r, fill, words, more = {}) => {
    const dot = svg.add("circle", { cx, cy, r, fill, ...more })
    const title = document.createElementNS(SVG, "title")
    title.textContent = words
    dot.append(title)
  }
  return svg
}

export function median(values) {
  const ordered = [...values].sort((a, b) => a - b)
  const half = ordered.length >> 1
  return ordered.length % 2 ? ordered[half] : (ordered[half - 1] + ordered[half]) / 2
}

/** Push labels at least LABEL apart, within the frame. */
export function apart(ends, top, bottom) {
  ends.sort((a, b) => a.place - b.place)
  ends.forEach((end, index) => {
    end.place = Math.max(end.place, index ? ends[index - 1].place + LABEL : top)
  })
  const over = (ends.at(-1)?.place ?? 0) - bottom
  if (over > 0) for (const end of ends) end.place = Math.max(top, end.place - over)
}

export function short(text, wide) {
  const room = Math.max(4, Math.floor(wide / 6.4))
  return text.length > room ? `${text.slice(0, room - 1)}…` : text
}

/** Length of the stroke of a place without a name. */
const STROKE = 8
const PAD = { left: 52, top: 8, bottom: 40 }

/** Named places as lines, each name at the side where there is room for it; others as strokes. */
function drawMarks(svg, marks, x, { left, right, bottom }, colours) {
  const inside = marks.map(([place, name]) => [x.at(place), name])
  const named = inside
    .filter(([at, name]) => name && at >= left && at <= right)
    .toSorted(([a], [b]) => a - b)
  for (const [at, name] of inside) {
    if (!name) svg.line(at, bottom - STROKE, at, bottom, colours.samples)
  }
  let end = left
  for (const [index, [at, name]] of named.entries()) {
    svg.line(at, PAD.top, at, bottom, colours.line2)
    const wide = name.length * 6.4
    const fitsRight = at + 5 + wide <= (named[index + 1]?.[0] ?? right)
    const fitsLeft = at - 5 - wide >= end
    const isRight = fitsRight || !fitsLeft
    svg.words(name, at + (isRight ? 5 : -5), PAD.top + 6, colours.muted, {
      "text-anchor": isRight ? "start" : "end",
    })
    end = isRight ? at + 5 + wide : at
  }
}

/** Lines [{name, x, y, colour, dash}] on one pair of axes; `titles`: {x, y}; `marks`: places
 * [x, name] on the x axis, a short stroke where one has no name. */
export function lineChart(width, height, lines, titles, colours, { square = false, marks } = {}) {
  const svg = svgOf(width, height)
  const wide =
    lines.length > 1
      ? Math.min(Math.max(...lines.map(({ name }) => name.length * 6.4 + 14)), width * 0.36)
      : 16
  const [right, bottom] = [width - wide - 8, height - PAD.bottom]
  const flat = (axis) => lines.flatMap((line) => Array.from(line[axis]))
  const include = square ? [0, 1] : []
  const x = scaleOf(flat("x"), false, [PAD.left, right], { include })
  const y = scaleOf(flat("y"), false, [bottom, PAD.top], { include })
  for (const tick of y.ticks) {
    svg.line(PAD.left, y.at(tick), right, y.at(tick), colours.line)
    svg.words(figure(tick), PAD.left - 6, y.at(tick), colours.muted, { "text-anchor": "end" })
  }
  for (const tick of x.ticks)
    svg.words(figure(tick), x.at(tick), bottom + 14, colours.muted, { "text-anchor": "middle" })
  svg.words(titles.x, right, bottom + 31, colours.muted, { "text-anchor": "end" })
  if (titles.y) svg.words(titles.y, PAD.left, bottom + 31, colours.muted)
  if (square)
    svg.line(x.at(0), y.at(0), x.at(1), y.at(1), colours.line2, { "stroke-dasharray": "3 3" })
  drawMarks(svg, marks ?? [], x, { left: PAD.left, right, bottom }, colours)
  const ends = lines.map(({ name, x: xs, y: ys, colour, dash }) => {
    const points = Array.from(xs, (value, index) => [value, ys[index]])
      .filter((point) => point.every(Number.isFinite))
      .map(([a, b]) => `${x.at(a).toFixed(1)},${y.at(b).toFixed(1)}`)
    svg.add("polyline", {
      points: points.join(" "),
      fill: "none",
      stroke: colour,
      "stroke-width": 1.8,
      "stroke-dasharray": dash ?? "",
    })
    const place = points.length ? Number(points.at(-1).split(",")[1]) : bottom
    return { label: name, place, colour }
  })
  if (lines.length > 1) {
    apart(ends, PAD.top + 6, bottom)
    for (const { label, place, colour } of ends)
      svg.words(short(label, wide), right + 8, place, colour, { "font-weight": 600 })
  }
  return svg
}
