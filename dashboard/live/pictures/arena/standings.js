// The ranking of an arena: scores with their intervals, blind and thought over, and what they cost.

import { make } from "../../parts/dom.js"
import { count, figure } from "../../parts/formatting.js"
import { apart, scaleOf, short, svgOf } from "../../charts/small_charts.js"
import { tableOf } from "../../parts/table.js"

const ROW = 34
const LEAST_NAME = 96
const MOST_NAME = 250
const COST = 104
const FOOT = 34
const END = { "text-anchor": "end" }
const MIDDLE = { "text-anchor": "middle" }

/** "0.41 J", "3.2 kJ", "not measured". */
export function joulesInWords(value) {
  if (value === null || value === undefined) return "not measured"
  const [scale, unit] =
    value >= 1000 ? [1000, "kJ"] : value >= 0.1 || value === 0 ? [1, "J"] : [1e-3, "mJ"]
  return `${figure(value / scale)} ${unit}`
}

/** "3.2 ms", "1.4 s", "not measured". */
export function secondsInWords(value) {
  if (value === null || value === undefined) return "not measured"
  return value < 1 ? `${figure(1000 * value)} ms` : `${figure(value)} s`
}

/** How many votes by how many, in words. */
export function votesInWords({ num, viewers, decided, changed, void: isVoid }) {
  const people = viewers === 1 ? "1 person" : `${count(viewers)} people`
  const words = [`${num === 1 ? "1 vote" : `${count(num)} votes`} by ${people}`]
  if (decided)
    words.push(`${Math.round((100 * changed) / decided)} % changed once joules were known`)
  if (isVoid) words.push(`${isVoid} void`)
  return words.join(" · ")
}

/** The section below a reveal, `width` pixels wide; `files`: addresses of the votes by name. */
export function standings(ranking, width, colours, files) {
  const links = Object.entries(files).map(([name, href]) => make("a", { href, download: "" }, name))
  const about = `Bradley-Terry score in nats, 95 % bootstrap interval · ${votesInWords(ranking)}`
  const head = make(
    "header",
    {},
    make("h2", {}, "Ranking so far"),
    make("span.bl-muted", {}, about),
    make(
      "span.bl-muted.bl-votes-files",
      {},
      "votes as ",
      ...links.flatMap((a, i) => (i ? [", ", a] : [a])),
    ),
  )
  const measured = ranking.rows.filter(({ joules }) => joules > 0)
  const body = make("div.bl-standings", {}, head, scores(ranking, width, colours))
  if (ranking.rows.some(({ informed }) => informed)) {
    body.append(
      make(
        "p.bl-muted",
        {},
        "Filled: blind. Hollow: the same people once names and joules were known.",
      ),
    )
  }
  if (measured.length > 1) body.append(qualityByJoules(measured, width, colours))
  else body.append(make("p.bl-muted", {}, noJoules(ranking.rows)))
  body.append(asTable(ranking.rows))
  return body
}

function noJoules(rows) {
  const models = rows.filter((row) => "joules" in row)
  return models.some(({ joules }) => joules > 0)
    ? "Joules of one model alone are measured: there is nothing to draw them against."
    : "Joules of drawing were not measured here; `basin doctor` says what would."
}

function scores(ranking, width, colours) {
  const { rows } = ranking
  const cost = width < 520 ? 0 : COST
  const left = Math.max(LEAST_NAME, Math.min(MOST_NAME, 0.3 * width))
  const bounds = rows.flatMap(({ score, low, high, informed }) =>
    [score, low, high, informed?.score, informed?.low, informed?.high].filter(Number.isFinite),
  )
  const x = scaleOf(bounds, false, [left, width - cost - 14], { include: [0] })
  const bottom = 14 + rows.length * ROW
  const svg = svgOf(width, bottom + FOOT)
  for (const tick of x.ticks) {
    const stroke = tick === 0 ? colours.line2 : colours.line
    svg.line(x.at(tick), 8, x.at(tick), bottom, stroke)
    svg.words(figure(tick), x.at(tick), bottom + 14, colours.muted, MIDDLE)
  }
  if (cost) svg.words("joules a sample", width, 6, colours.muted, END)
  rows.forEach((row, place) => {
    const y = 14 + (place + 0.5) * ROW
    svg.words(short(row.name, left - 12), 0, y, colours.text, { "font-size": 14 })
    interval(svg, x, row, y - (row.informed ? 4 : 0), colours.accent, true)
    if (row.informed) interval(svg, x, row.informed, y + 6, colours.accent, false)
    const words = "joules" in row ? joulesInWords(row.joules) : "–"
    if (cost) svg.words(words, width, y, colours.text, END)
  })
  const read = ({ name, score, low, high }) =>
    `${name} ${figure(score)}, ${figure(low)} to ${figure(high)}`
  svg.setAttribute("role", "img")
  svg.setAttribute("aria-label", `Scores: ${rows.map(read).join("; ")}.`)
  return svg
}

function interval(svg, x, { score, low, high }, y, colour, isBlind) {
  if (Number.isFinite(low) && Number.isFinite(high)) {
    const more = { "stroke-width": isBlind ? 2.5 : 1.5, "stroke-opacity": 0.5 }
    svg.line(x.at(low), y, x.at(high), y, colour, more)
  }
  const words = `${figure(score)} (${figure(low)} to ${figure(high)})`
  const hollow = { stroke: colour, "stroke-width": 1.5 }
  svg.dot(
    x.at(score),
    y,
    isBlind ? 5 : 3.5,
    isBlind ? colour : "none",
    words,
    isBlind ? {} : hollow,
  )
}

/** Scores over joules a sample, of those that were measured. */
export function qualityByJoules(rows, room, colours) {
  const width = Math.min(room, 620)
  const [left, right, top, bottom] = [44, width - 16, 20, 190]
  const svg = svgOf(width, 232)
  const x = scaleOf(
    rows.map(({ joules }) => joules),
    true,
    [left, right],
  )
  const bounds = rows.flatMap(({ score, low, high }) => [score, low, high]).filter(Number.isFinite)
  const y = scaleOf(bounds, false, [bottom, top])
  for (const tick of y.ticks) {
    svg.line(left, y.at(tick), right, y.at(tick), colours.line)
    svg.words(figure(tick), left - 8, y.at(tick), colours.muted, END)
  }
  for (const tick of x.ticks)
    svg.words(figure(tick), x.at(tick), bottom + 16, colours.muted, MIDDLE)
  svg.words("joules a sample, log", right, bottom + 34, colours.muted, END)
  svg.words("score", 0, 6, colours.muted)
  const labels = rows.map((row) => ({ row, place: y.at(row.score) - 12 }))
  apart(labels, top, bottom)
  for (const { row, place } of labels) {
    const [at, middle] = [x.at(row.joules), y.at(row.score)]
    if (Number.isFinite(row.low)) {
      const more = { "stroke-width": 2, "stroke-opacity": 0.5 }
      svg.line(at, y.at(row.low), at, y.at(row.high), colours.accent, more)
    }
    svg.dot(at, middle, 5, colours.accent, `${row.name}: ${figure(row.score)}`)
    const isRight = at > width / 2
    svg.words(short(row.name, width / 2 - 30), at + (isRight ? -9 : 9), place, colours.text, {
      "text-anchor": isRight ? "end" : "start",
    })
  }
  const read = ({ name, score, joules }) => `${name} ${figure(score)} at ${joulesInWords(joules)}`
  svg.setAttribute("role", "img")
  svg.setAttribute("aria-label", `Quality by joules: ${rows.map(read).join("; ")}.`)
  const sources = [...new Set(rows.map((row) => row.joules_from))].join(", ")
  const title = make("header", {}, make("h2", {}, "Quality by joules"))
  title.append(make("span.bl-muted", {}, `joules of drawing: ${sources}`))
  return make("section.bl-panel", {}, title, svg)
}

function asTable(rows) {
  const columns = ["contestant", "score", "low", "high", "thought over", "votes", "both bad"]
  const body = rows.map(({ name, score, low, high, informed, num, bad, joules, seconds }) => [
    name,
    score,
    low,
    high,
    informed?.score ?? null,
    num,
    bad,
    joules ?? null,
    seconds ?? null,
  ])
  const names = [...columns, "joules a sample", "seconds a sample"]
  return make(
    "details.bl-muted",
    {},
    make("summary", {}, "Show as a table"),
    make("div.bl-scroll", {}, tableOf(names, body)),
  )
}
