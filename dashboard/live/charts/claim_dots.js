// The deciding picture of a claim as dots: a row a variant, a dot a seed.

import { figure } from "../parts/formatting.js"
import { median, scaleOf, short, svgOf } from "./small_charts.js"

const PAD = { top: 8, bottom: 40 }
const ROW = 30
const TWO_LINES = 40

/** {svg, title, about, words, head, rows} of a picture of dots, `room` pixels wide. */
export function claimDots(picture, room, colours) {
  const width = Math.max(room, 260)
  const { rows } = picture
  const several = new Set(rows.map((row) => row.about)).size > 1
  const height = Math.max(120, rows.length * (several ? TWO_LINES : ROW) + PAD.bottom + PAD.top)
  const svg = svgOf(width, height)
  const longest = ({ title, about }) => Math.max(title.length, several ? about.length : 0)
  const left = Math.min(width * 0.44, Math.max(90, ...rows.map((row) => longest(row) * 6.3 + 12)))
  const [right, bottom] = [width - 56, height - PAD.bottom]
  const floors = rows.map((row) => row.floor).filter((value) => value !== null)
  const values = rows.flatMap((row) => row.values)
  const x = scaleOf(values, picture.log, [left, right], { zero: true, include: floors })
  for (const tick of x.ticks) {
    svg.line(x.at(tick), PAD.top, x.at(tick), bottom, colours.line)
    svg.words(figure(tick), x.at(tick), bottom + 14, colours.muted, { "text-anchor": "middle" })
  }
  const unit = [picture.unit, picture.log ? "log" : ""].filter(Boolean).join(", ")
  svg.words(unit, right, bottom + 31, colours.muted, { "text-anchor": "end" })
  rows.forEach((row, index) => {
    const y = PAD.top + (index + 0.5) * ((bottom - PAD.top) / rows.length)
    drawRow(svg, row, { x, y, left, several }, colours)
  })
  return { svg, title: "The deciding picture", ...described(picture, several, floors.length > 0) }
}

function drawRow(svg, row, { x, y, left, several }, colours) {
  const colour = colours.runs[row.colour % colours.runs.length]
  const end = { "text-anchor": "end" }
  svg.words(short(row.title, left - 12), left - 10, several ? y - 7 : y, colours.text, {
    ...end,
    "font-weight": 600,
  })
  if (several) svg.words(short(row.about, left - 12), left - 10, y + 8, colours.muted, end)
  if (row.floor !== null && x.fits(row.floor)) {
    const at = x.at(row.floor)
    svg.line(at, y - 9, at, y + 9, colours.muted, { "stroke-dasharray": "2 2" })
  }
  const values = row.values.filter(x.fits)
  if (!values.length) {
    svg.words("no figure yet", left + 4, y, colours.muted)
    return
  }
  svg.line(x.at(Math.min(...values)), y, x.at(Math.max(...values)), y, colour, {
    "stroke-width": 2,
    "stroke-opacity": 0.4,
  })
  for (const value of values) {
    svg.dot(x.at(value), y, 4, colour, `${row.title}: ${figure(value)}`, { "fill-opacity": 0.85 })
  }
  const place = Math.max(...values.map(x.at)) + 9
  svg.words(figure(median(values)), place, y, colour, { "font-weight": 600 })
}

function described({ title, rows }, several, hasFloors) {
  const head = several ? "" : `${title}; `
  const read = ({ values }) => (values.length ? figure(median(values)) : "no figure yet")
  return {
    about: `${head}a dot a seed, the median in figures${hasFloors ? ", dotted: the floor" : ""}`,
    words: `${rows.map((row) => `${row.title}, ${row.about}: ${read(row)}`).join("; ")}.`,
    head: ["variant", "figure", "seeds", "floor"],
    rows: rows.map(({ title, about, values, floor }) => [
      title,
      about,
      values.map(figure).join(", ") || "–",
      figure(floor),
    ]),
  }
}
