// Rows of words and numbers as a table: numbers to three digits, in full on a pointer's rest.

import { make } from "./dom.js"
import { figure } from "./formatting.js"

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
