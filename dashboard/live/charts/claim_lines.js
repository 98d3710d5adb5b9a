// The deciding picture of a claim as lines: the median of each variant's seeds, and their range.

import { figure } from "../parts/formatting.js"
import { apart, median, scaleOf, short, svgOf } from "./small_charts.js"

const PAD = { left: 46, top: 8, bottom: 40 }
const HEIGHT = 264
const DASHES = ["", "6 3", "2 3", "8 3 2 3"]
const FEW = 16
const MOST_ROWS = 40

/** Median and range over the seeds at every x that all have: [{x, low, middle, high}]. */
export function seedBand(seeds) {
  const by = new Map()
  for (const { x, y } of seeds) {
    x.forEach((place, index) => {
      if (y[index] === null) return
      if (!by.has(place)) by.set(place, [])
      by.get(place).push(y[index])
    })
  }
  const most = Math.max(0, ...[...by.values()].map((values) => values.length))
  return [...by]
    .filter(([, values]) => values.length === most)
    .sort(([a], [b]) => a - b)
    .map(([x, values]) => ({
      x,
      low: Math.min(...values),
      middle: median(values),
      high: Math.max(...values),
    }))
}

/** {svg, title, about, words, head, rows} of a picture of lines, `room` pixels wide. */
export function claimLines(picture, room, colours) {
  const width = Math.max(room, 260)
  const lines = picture.lines
    .map((line) => ({ ...line, band: seedBand(line.seeds) }))
    .filter((line) => line.band.length)
  const svg = svgOf(width, HEIGHT)
  const longest = Math.max(0, ...lines.map((line) => line.title.length * 6.4 + 14))
  const wide = Math.min(longest, width * 0.34)
  const [right, bottom] = [width - wide - 8, HEIGHT - PAD.bottom]
  const xs = lines.flatMap((line) => line.band.map(({ x }) => x))
  const ys = lines.flatMap((line) => line.band.flatMap(({ low, high }) => [low, high]))
  const x = scaleOf(xs, picture.log_x, [PAD.left, right])
  const include = picture.floor === null ? [] : [picture.floor]
  const y = scaleOf(ys, picture.log_y, [bottom, PAD.top], { include })
  drawAxes(svg, picture, x, y, right, bottom, colours)
  if (lines.length) drawComparison(svg, picture.at, x, right, bottom, colours)
  drawFloor(svg, picture.floor, y, right, colours)
  const ends = lines.map((line) => drawLine(svg, line, x, y, colours))
  apart(ends, PAD.top + 6, bottom)
  for (const { label, place, colour } of ends) {
    svg.words(short(label, wide), right + 8, place, colour, { "font-weight": 600 })
  }
  const middle = { "text-anchor": "middle" }
  const none = "The first figures come when a run ends."
  if (!lines.length) svg.words(none, width / 2, HEIGHT / 2, colours.muted, middle)
  return { svg, title: "The deciding picture", ...described(picture, lines, xs) }
}

function drawAxes(svg, picture, x, y, right, bottom, colours) {
  for (const tick of y.ticks) {
    svg.line(PAD.left, y.at(tick), right, y.at(tick), colours.line)
    svg.words(figure(tick), PAD.left - 6, y.at(tick), colours.muted, { "text-anchor": "end" })
  }
  for (const tick of picture.ticks ?? x.ticks) {
    svg.words(figure(tick), x.at(tick), bottom + 14, colours.muted, { "text-anchor": "middle" })
  }
  svg.words(picture.x_title, right, bottom + 31, colours.muted, { "text-anchor": "end" })
}

/** Mark the place along x at which the claim is judged. */
function drawComparison(svg, place, x, right, bottom, colours) {
  if (place === null || place === undefined) return
  const at = x.at(place)
  svg.line(at, PAD.top, at, bottom, colours.muted)
  const isRight = at > (PAD.left + right) / 2
  svg.words("compared here", at + (isRight ? -5 : 5), bottom - 8, colours.muted, {
    "text-anchor": isRight ? "end" : "start",
  })
}

function drawFloor(svg, floor, y, right, colours) {
  if (floor === null || !y.fits(floor)) return
  const at = y.at(floor)
  svg.line(PAD.left, at, right, at, colours.muted, { "stroke-dasharray": "2 3" })
  svg.words(`floor ${figure(floor)}`, PAD.left + 4, at - 8, colours.muted)
}

function drawLine(svg, line, x, y, colours) {
  const colour = colours.runs[line.colour % colours.runs.length]
  const drawn = line.band.filter(({ low, middle }) => y.fits(low) && y.fits(middle))
  if (!drawn.length) return { label: line.title, place: HEIGHT / 2, colour }
  const up = drawn.map((each) => `${x.at(each.x)},${y.at(each.high)}`)
  const down = drawn.map((each) => `${x.at(each.x)},${y.at(each.low)}`).reverse()
  svg.add("polygon", { points: [...up, ...down].join(" "), fill: colour, "fill-opacity": 0.16 })
  svg.add("polyline", {
    points: drawn.map((each) => `${x.at(each.x)},${y.at(each.middle)}`).join(" "),
    fill: "none",
    stroke: colour,
    "stroke-width": 1.8,
    "stroke-dasharray": DASHES[Math.floor(line.colour / 6) % DASHES.length],
  })
  for (const each of drawn.length <= FEW ? drawn : [drawn.at(-1)]) {
    const range = `${figure(each.low)} to ${figure(each.high)}`
    const words = `${line.title}: ${figure(each.middle)} (${range}) at ${figure(each.x)}`
    svg.dot(x.at(each.x), y.at(each.middle), 3.2, colour, words)
  }
  return { label: line.title, place: y.at(drawn.at(-1).middle), colour }
}

function described(picture, lines, xs) {
  const hasRange = lines.some((line) => line.seeds.length > 1)
  const ends = lines.map((line) => `${line.title} ends at ${figure(line.band.at(-1).middle)}`)
  const places = [...new Set(xs)].sort((a, b) => a - b)
  const valueAt = (line, place) => line.band.find((each) => each.x === place)?.middle
  return {
    about: `${picture.title}${hasRange ? "; band: range over seeds" : ""}`,
    words: `${picture.title} by ${picture.x_title}: ${ends.join(", ")}.`,
    head: [picture.x_title, ...lines.map((line) => line.title)],
    rows: places
      .slice(-MOST_ROWS)
      .map((place) => [figure(place), ...lines.map((line) => figure(valueAt(line, place)))]),
  }
}
