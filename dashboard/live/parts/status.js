// Words of status: sign, colour and word together, as in dashboard/elements.py.

import { make } from "./dom.js"

export const SIGNS = {
  running: ["◉", "accent"],
  queued: ["◌", "muted"],
  paused: ["❚❚", "muted"],
  finished: ["✓", "good"],
  stopped: ["■", "muted"],
  failed: ["✕", "alarm"],
  diverged: ["↗", "alarm"],
  lost: ["⚯", "alarm"],
}

export function statusWord(status) {
  const [sign, token] = SIGNS[status] ?? ["?", "muted"]
  const word = make("span.bl-status", {}, make("i", {}, sign), ` ${status}`)
  word.style.color = `var(--bl-${token})`
  return word
}

/** What a run is called, as dashboard/elements.py says it. */
export function nameOf(run) {
  const made = run.preset === "default" ? run.method : run.preset
  return run.name || `${run.data}, ${made.replaceAll("_", " ")}`
}
