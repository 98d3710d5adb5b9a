// Rows of words and numbers as a table: numbers to three digits, in full on a pointer's rest.

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
 * probabilities by themselves. */
export function tableAt(path, columns, rows, named) {
  const table = tableOf(columns, rows, named)
  const name = path.split("/").at(-1)
  const isConfusion = name === "confusion"
  if (!isConfusion && !name.startsWith("probabilities")) return table
  table.classList.add(isConfusion ? "bl-confusion" : "bl-probabilities")
  const shares = isConfusion ? sharesOf(rows) : rows.map(([, ...values]) => values)
  shares.forEach((line, row) =>
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
