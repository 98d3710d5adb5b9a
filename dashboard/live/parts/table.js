// Rows of words and numbers as a table: numbers to three digits, in full on a pointer's rest; text in
// letters of one width, with faint marks under what was not expected.

import { make } from "./dom.js"
import { figure } from "./formatting.js"

/** Of a matrix of true classes by called ones, each number's share of its row. */
export function sharesOf(rows) {
  return rows.map(([, ...counts]) => {
    const sum = counts.reduce((total, count) => total + (count ?? 0), 0)
    return counts.map((count) => (sum ? (count ?? 0) / sum : 0))
  })
}

/** The table of a path; one of classes by classes is shaded by the shares of its rows, one of
 * probabilities by themselves. `text`: the column of text as it is, its characters marked by
 * `shares`. */
export function tableAt(path, { columns, rows, text, shares }, named) {
  const table = tableOf(columns, rows, named)
  if (text) {
    const column = columns.indexOf(text)
    rows.forEach((row, place) => {
      const cell = table.tBodies[0].rows[place].cells[column]
      cell.replaceChildren(lineOf(row[column], shares?.[place]))
    })
    table.classList.add("bl-of-text")
    return table
  }
  const name = path.split("/").at(-1)
  const isConfusion = name === "confusion"
  if (!isConfusion && !name.startsWith("probabilities")) return table
  table.classList.add(isConfusion ? "bl-confusion" : "bl-probabilities")
  const parts = isConfusion ? sharesOf(rows) : rows.map(([, ...values]) => values)
  parts.forEach((line, row) =>
    line.forEach((share, column) => {
      const cell = table.tBodies[0].rows[row].cells[column + 1]
      if (isConfusion && row === column) cell.classList.add("right")
      else if (!share) cell.classList.add("none")
      cell.style.setProperty("--share", (share ?? 0).toFixed(3))
    }),
  )
  return table
}

/** `named(word)`: how a word or a column's name is written. */
export function tableOf(columns, rows, named = (word) => word) {
  const isWordy = columns.map(
    (_, column) => column > 0 && rows.every((row) => typeof row[column] !== "number"),
  )
  const cell = (tag, value, column) => {
    const isNumber = typeof value === "number"
    const text = isNumber ? figure(value) : value === null ? "–" : named(value)
    const name = isWordy[column] ? `${tag}.words` : tag
    return make(name, { title: isNumber ? String(value) : "" }, text)
  }
  const line = (tag, values) =>
    make("tr", {}, ...values.map((value, column) => cell(tag, value, column)))
  return make(
    "table",
    {},
    make("thead", {}, line("th", columns)),
    make("tbody", {}, ...rows.map((row) => line("td", row))),
  )
}

/** Levels of shading: characters of one level lie in one mark. */
const LEVELS = 6

/** A line of text; `shares`: how likely each of its characters was called, 0 to 1. */
export function lineOf(text, shares) {
  const line = make("code.bl-text")
  if (!shares) {
    line.textContent = text
    return line
  }
  for (const { level, from, to } of runsOf(shares)) {
    const part = Array.from(text).slice(from, to).join("")
    if (!level) line.append(part)
    else {
      const mark = make("i", {}, part)
      mark.style.setProperty("--share", (level / LEVELS).toFixed(2))
      line.append(mark)
    }
  }
  return line
}

/** Neighbours that are shaded alike: [{level: 0 to LEVELS, from, to}]. */
export function runsOf(shares) {
  const runs = []
  shares.forEach((share, place) => {
    const level = Math.round(LEVELS * (1 - Math.min(Math.max(share ?? 1, 0), 1)))
    const last = runs.at(-1)
    if (last?.level === level) last.to = place + 1
    else runs.push({ level, from: place, to: place + 1 })
  })
  return runs
}

/** What the marks mean, where there are any. */
export function textScale() {
  const bar = make("i.bl-text-scale")
  return make("span.bl-scale", {}, "expected", bar, "not expected")
}
