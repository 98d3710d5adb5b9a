// Heads of the columns: what each shows, and by which the rows are in order.

import { make } from "../parts/dom.js"

/** Pixels; the name takes what is left, rows of one table being alike in all. */
const WIDTHS = { trend: 90, headline: 235, created: 128, note: 160, tags: 120 }
const OF_KIND = { figure: 150, setting: 84, cost: 78, about: 100 }
const NAME = 220
const FIXED = [24, 40, NAME, 136]
const GAP = 14

/** The grid of columns as CSS, and its least width in pixels. */
export function gridOf(columns) {
  const widths = [...FIXED, ...columns.map(({ key, kind }) => WIDTHS[key] ?? OF_KIND[kind])]
  const template = widths.map((width) => (width === NAME ? `minmax(${NAME}px, 1fr)` : `${width}px`))
  const least = widths.reduce((sum, width) => sum + width + GAP, -GAP)
  return { template: template.join(" "), least: `${least}px` }
}

export class TableHead {
  /** `on`: {sort(key, descending), all(isOn)}. */
  constructor(on) {
    this.on = on
    this.box = make("input", { type: "checkbox" })
    this.box.setAttribute("aria-label", "Select all runs that are listed")
    this.box.onclick = () => on.all(this.box.checked)
    this.slot = make("div.bl-run.bl-table-head", { role: "row", "aria-rowindex": 1 })
  }

  draw(columns, sorted, descending) {
    const key = JSON.stringify([columns.map(({ key, title }) => key + title), sorted, descending])
    if (key === this.key) return
    this.key = key
    const picture = make("span.bl-unseen", {}, "picture")
    const fixed = [this.box, picture, "run", "status"].map((part) =>
      make("div", { role: "columnheader" }, part),
    )
    this.slot.replaceChildren(
      ...fixed,
      ...columns.map((column) => this.cell(column, sorted === column.key, descending)),
    )
  }

  cell(column, isSorted, descending) {
    const kind = {
      figure: "div.bl-cell.bl-best",
      about: column.key === "trend" ? "div.bl-trend" : "div.bl-cell",
    }
    const cell = make(kind[column.kind] ?? "div.bl-cell", { role: "columnheader" })
    if (!column.value) {
      cell.append(make("span.bl-unseen", {}, column.title || column.name))
      return cell
    }
    const arrow = isSorted ? (descending ? " ↓" : " ↑") : ""
    const text = [column.title, column.unit].filter(Boolean).join(", ")
    const button = make("button.bl-sort", {
      type: "button",
      textContent: text + arrow,
      title: text,
    })
    const best = column.better === "higher" || column.key === "created"
    // the best, or the newest, first; then the other way round; then as at first
    button.onclick = () => {
      if (!isSorted) this.on.sort(column.key, best)
      else if (descending === best) this.on.sort(column.key, !best)
      else this.on.sort("", false)
    }
    if (isSorted) cell.setAttribute("aria-sort", descending ? "descending" : "ascending")
    cell.append(button)
    return cell
  }

  /** Whether all, some or none of the runs listed are selected. */
  select(runs, selected) {
    const number = runs.reduce((sum, run) => sum + selected.has(run.id), 0)
    this.box.checked = number > 0 && number === runs.length
    this.box.indeterminate = number > 0 && number < runs.length
  }
}
