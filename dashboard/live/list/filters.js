// Filters of the list: several values each, kept in the address, with how many runs each has.

import { isBookkeeping } from "./columns.js"

/** By name: the values that a run has under it. */
export const FILTERS = {
  status: (run) => [run.status],
  data: (run) => [run.dataset],
  method: (run) => [run.method],
  preset: (run) => [run.preset],
  tag: (run) => run.tags.filter((tag) => !isBookkeeping(tag)),
  device: (run) => [run.device].filter(Boolean),
  "launched as": (run) => run.tags.filter(isBookkeeping),
  look: (run) => (run.needs_a_look ? ["yes"] : []),
}

/** The name of a filter in the address. */
export const addressOf = (name) => name.replaceAll(" ", "_")

/** Values of a filter from its text in the address. */
export function parsed(text) {
  return new Set(text ? text.split(",").map(decodeURIComponent) : [])
}

/** The text of values in the address; "" for none. */
export function written(values) {
  return [...values].map((value) => String(value).replace(/[%,]/g, encodeURIComponent)).join(",")
}

const texts = new WeakMap()

/** All that a search looks through. */
function textOf(run) {
  if (!texts.has(run)) {
    const parts = [run.title, run.id, run.method, run.preset, run.dataset, run.status, run.note]
    texts.set(run, [...parts, `seed ${run.seed}`, ...run.tags].join(" ").toLowerCase())
  }
  return texts.get(run)
}

/** `choice`: {search, filters: {name: Set}}. */
export function matcher({ search, filters }) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean)
  const wanted = Object.entries(filters).filter(([name, values]) => FILTERS[name] && values.size)
  return (run) =>
    wanted.every(([name, values]) => FILTERS[name](run).some((value) => values.has(value))) &&
    (!words.length || words.every((word) => textOf(run).includes(word)))
}

/** Values of a filter among runs, the most frequent first: [[value, number], ...]. */
export function counted(runs, name) {
  const counts = new Map()
  for (const run of runs) {
    for (const value of FILTERS[name](run)) counts.set(value, (counts.get(value) ?? 0) + 1)
  }
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
}
