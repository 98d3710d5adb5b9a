// The seeds that decide a claim: each one's value beside the target, and their median.

import { figure } from "../parts/formatting.js"
import { median, scaleOf, svgOf } from "./small_charts.js"

const PAD = { left: 58, right: 62, top: 26, bottom: 40 }
const ROW = 30
/** Ratios that differ by more than this are drawn on a log axis. */
const WIDE = 30

/** {svg, title, about, words, head, rows} of a claim's seeds, `room` pixels wide. */
export function claimSeeds(seeds, compared, room, colours) {
  const width = Math.max(room, 220)
  const readings = [...seeds.readings].sort((a, b) => (a.value ?? Infinity) - (b.value ?? Infinity))
  const height = Math.max(150, (readings.length + 1) * ROW + PAD.bottom + PAD.top)
  const svg = svgOf(width, height)
  const [left, right, bottom] = [PAD.left, width - PAD.right, height - PAD.bottom]
  const values = readings.map(({ value }) => value).filter(Number.isFinite)
  const from = seeds.neutral ?? (values.length && Math.min(...values) > 0 ? 0 : null)
  const log = seeds.compares === "ratio" && spreadOf([...values, seeds.target]) > WIDE
  const include = [seeds.target, ...(from === null ? [] : [from])]
  const x = scaleOf(values, log, [left, right], { include })
  drawAxis(svg, seeds, { x, log, right, bottom, width }, colours)
  const start = from === null || !x.fits(from) ? left : x.at(from)
  readings.forEach((reading, index) => {
    drawSeed(svg, reading, { x, y: PAD.top + (index + 0.5) * ROW, start }, colours)
  })
  if (values.length > 1) {
    drawMedian(svg, values, { x, y: PAD.top + (readings.length + 0.5) * ROW }, colours)
  }
  const middle = { "text-anchor": "middle" }
  if (!readings.length) {
    const y = (PAD.top + bottom) / 2
    svg.words(
      "No seed has ended yet; each is a dot here.",
      (left + right) / 2,
      y,
      colours.muted,
      middle,
    )
  }
  return { svg, title: "Seed by seed", ...described(seeds, readings, compared) }
}

function spreadOf(values) {
  return values.length > 1 ? Math.max(...values) / Math.max(Math.min(...values), 1e-12) : 1
}

function drawAxis(svg, seeds, { x, log, right, bottom, width }, colours) {
  for (const tick of x.ticks) {
    svg.line(x.at(tick), PAD.top, x.at(tick), bottom, colours.line)
    svg.words(figure(tick), x.at(tick), bottom + 14, colours.muted, { "text-anchor": "middle" })
  }
  const name = [axisOf(seeds), log ? "log" : ""].filter(Boolean).join(", ")
  svg.words(name, right, bottom + 31, colours.muted, { "text-anchor": "end" })
  const target = x.at(seeds.target)
  svg.line(target, PAD.top, target, bottom, colours.text, { "stroke-dasharray": "2 3" })
  svg.words(`target ${figure(seeds.target)}`, target, PAD.top - 12, colours.text, {
    "text-anchor": target > width / 2 ? "end" : "start",
  })
}

/** The figure that the seeds' axis shows, in words. */
export function axisOf({ compares, title }) {
  return compares ? `${title}, ${compares}` : title
}

function drawSeed(svg, { seed, value, note }, { x, y, start }, colours) {
  svg.words(`seed ${seed}`, PAD.left - 10, y, colours.muted, { "text-anchor": "end" })
  if (value === null || !x.fits(value)) {
    svg.words(value === null ? note : figure(value), PAD.left + 6, y, colours.alarm)
    return
  }
  const stroke = { "stroke-width": 2, "stroke-opacity": 0.5 }
  svg.line(start, y, x.at(value), y, colours.runs[0], stroke)
  svg.dot(x.at(value), y, 4.5, colours.runs[0], `seed ${seed}: ${figure(value)}`)
  svg.words(figure(value), Math.max(x.at(value), start) + 9, y, colours.text)
}

function drawMedian(svg, values, { x, y }, colours) {
  const stroke = { "stroke-width": 2 }
  const [low, middle, high] = [Math.min(...values), median(values), Math.max(...values)].map(x.at)
  svg.words("median", PAD.left - 10, y, colours.text, { "text-anchor": "end" })
  svg.line(low, y, high, y, colours.text, stroke)
  svg.line(middle, y - 6, middle, y + 6, colours.text, stroke)
  svg.words(figure(median(values)), high + 9, y, colours.text, { "font-weight": 600 })
}

function described(seeds, readings, compared) {
  const side = seeds.relation === ">=" ? "right" : "left"
  const read = ({ value, note }) => (value === null ? note : figure(value))
  const each = readings.map((reading) => `seed ${reading.seed} ${read(reading)}`)
  return {
    about: `${compared}; ${side} of the line meets the claim`,
    words: `${compared}: ${each.join(", ")}; target ${figure(seeds.target)}.`,
    head: ["seed", seeds.compares || "value"],
    rows: readings.map((reading) => [String(reading.seed), read(reading)]),
  }
}
