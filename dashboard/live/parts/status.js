// Words of status: sign, colour and word together, as in dashboard/elements.py.

import { make } from "./dom.js"
import { duration } from "./formatting.js"
import { STATUSES } from "./vocabulary.js"

export function statusWord(status) {
  const { sign, colour } = STATUSES[status] ?? { sign: "?", colour: "muted" }
  const word = make("span.bl-status", {}, make("i", {}, sign), ` ${status}`)
  word.style.color = `var(--bl-${colour})`
  return word
}

/** The name of a run's data, as dashboard/elements.py writes it: one's own file by its own. */
export function dataOf(run) {
  const path = run.settings?.["data.path"]
  const last = typeof path === "string" ? path.replace(/\/+$/, "").split("/").pop() : ""
  return last.replace(/(?<=.)\.[^.]+$/, "") || run.data
}

/** The name of a run, as dashboard/elements.py writes it. */
export function nameOf(run) {
  const made = run.preset === "default" ? run.method : run.preset
  return run.name || `${dataOf(run)}, ${made.replaceAll("_", " ")}`
}

/** Words beside a run's seconds of training: how many of them a fork has from its parent. */
export function ofParent({ forked_from: origin }) {
  const seconds = origin?.cost[2] // step, gradients, seconds, joules
  return seconds ? `, ${duration(seconds)} of it the parent's` : ""
}
