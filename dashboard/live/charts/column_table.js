// Columns of a table that a person brought: what each holds, and what becomes of it.

import { make, rootOf } from "../parts/dom.js"
import { figure } from "../parts/formatting.js"

const [LEARNED, CLASS, CONCEPT, OUT] = ["learned", "class", "concept", "left out"]
const HEAD = ["", "column", "kind", "range", "missing", "histogram", "used as"]

/** `data.columns`: [{name, kind, low, high, missing, values, counts, use, reason}]. */
export function mount(slot, component) {
  let settings = component
  const { root, unwatch } = rootOf(slot, () => draw())
  function draw() {
    const rows = settings.data.columns.map(rowOf)
    const head = make("tr", {}, ...HEAD.map((word) => make("th", { scope: "col" }, word)))
    const body = make("tbody", {}, ...rows)
    const table = make("table.bl-columns", {}, make("thead", {}, head), body)
    root.replaceChildren(make("div.bl-columns-frame", {}, table))
  }
  function use(name, word) {
    const columns = settings.data.columns.map((column) => {
      if (column.name === name) return { ...column, use: word }
      // one column names the class
      return word === CLASS && column.use === CLASS
        ? { ...column, use: isNumber(column) ? LEARNED : OUT }
        : column
    })
    settings = { ...settings, data: { ...settings.data, columns } }
    draw()
    settings.setTriggerValue(
      "used",
      Object.fromEntries(columns.map((each) => [each.name, each.use])),
    )
  }
  function rowOf(column) {
    const box = make("input", { type: "checkbox", "aria-label": `Use ${column.name}` })
    box.checked = column.use !== OUT
    box.onchange = () => use(column.name, box.checked ? (isNumber(column) ? LEARNED : CLASS) : OUT)
    const select = make("select", { "aria-label": `${column.name} is used as` })
    for (const word of usesOf(column)) {
      select.append(new Option(word, word, false, word === column.use))
    }
    select.disabled = column.kind === "date" || column.kind === "empty"
    box.disabled = select.disabled
    select.onchange = () => use(column.name, select.value)
    const cells = [
      box,
      make("b", {}, column.name),
      kindOf(column),
      rangeOf(column),
      String(column.missing),
      histogram(column),
      make("span", {}, select, column.reason ? make("span.bl-muted", {}, ` ${column.reason}`) : ""),
    ]
    const row = make("tr", {}, ...cells.map((cell) => make("td", {}, cell)))
    if (column.use === OUT) row.className = "bl-out"
    return row
  }
  draw()
  return {
    update: (data, next) => {
      settings = next
      draw()
    },
    unmount: unwatch,
  }
}

/** What a column can be used as: a concept is one of two values. */
export function usesOf(column) {
  const uses = isNumber(column) ? [LEARNED, CLASS] : [CLASS]
  return [...uses, ...(column.distinct === 2 ? [CONCEPT] : []), OUT]
}

function isNumber({ kind }) {
  return kind === "number" || kind === "whole number"
}

/** Words for what a column holds. */
export function kindOf({ kind, distinct }) {
  return kind === "text" ? `text, ${distinct} value${distinct === 1 ? "" : "s"}` : kind
}

/** The range of numbers and dates, the most common values of text. */
export function rangeOf({ kind, low, high, values }) {
  if (kind === "text" || kind === "yes or no") return values.slice(0, 3).join(", ")
  if (low === null || low === undefined) return "–"
  if (kind === "date") return `${low} to ${high}`
  return `${figure(low)} to ${figure(high)}`
}

function histogram({ name, counts }) {
  const most = Math.max(...counts, 1)
  const bars = counts.map((count) => {
    const bar = make("i")
    bar.style.height = `${count ? Math.max(1, (16 * count) / most) : 0}px`
    return bar
  })
  return make("span.bl-bars", { role: "img", "aria-label": `Histogram of ${name}` }, ...bars)
}
