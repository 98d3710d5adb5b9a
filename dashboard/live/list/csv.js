// The list as a table for other programs: one row a run, numbers in full.

import { isBookkeeping } from "./columns.js"

const FIXED = {
  id: (run) => run.id,
  name: (run) => run.title,
  status: (run) => run.status,
  method: (run) => run.method,
  preset: (run) => run.preset,
  data: (run) => run.dataset,
  seed: (run) => run.seed,
  tags: (run) => run.tags.filter((tag) => !isBookkeeping(tag)).join(" "),
  created: (run) => new Date(1000 * run.created).toISOString(),
  steps: (run) => run.step,
  gradients: (run) => run.gradients,
  seconds: (run) => run.seconds,
  joules: (run) => run.joules,
}

/** `columns`: those chosen; of a figure its floor and goal stand beside it. */
export function csvOf(runs, columns) {
  const fields = { ...FIXED }
  for (const column of columns) {
    if (column.kind === "setting") fields[column.key.slice(2)] = column.value
    if (column.kind !== "figure") continue
    const name = column.chart || "figure"
    if (!column.chart) fields["figure path"] = (run) => run.headline?.path
    fields[name] = column.value
    for (const line of ["goal", "floor"]) {
      if (column.chart) fields[`${name}/${line}`] = (run) => run.figures?.[`${name}/${line}`]
    }
  }
  const names = Object.keys(fields)
  const lines = runs.map((run) => names.map((name) => cell(fields[name](run))).join(","))
  return `${[names.map(cell).join(","), ...lines].join("\n")}\n`
}

function cell(value) {
  if (value === undefined || value === null) return ""
  if (typeof value === "number") return String(value)
  // what a spreadsheet would take for a formula stays text
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value)
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
