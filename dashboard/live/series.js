// Curves of one run: columns that grow, and what a chart draws of them.

import { rows } from "./frames.js"

export const COSTS = ["step", "gradients", "seconds", "joules"]
const COLUMNS = [...COSTS, "value"]

/** Every scalar path of one run. */
export class Curves {
  constructor() {
    this.paths = new Map()
    this.version = 0
  }

  clear() {
    this.paths.clear()
    this.version++
  }

  /** Add a scalar frame: a block as it was said, or a path's history. */
  add(frame) {
    for (const [path, found] of Object.entries(rows(frame))) {
      if (!this.paths.has(path)) {
        this.paths.set(path, Object.fromEntries(COLUMNS.map((name) => [name, []])))
      }
      const columns = this.paths.get(path)
      for (const name of COLUMNS) for (const value of found[name]) columns[name].push(value)
      if (frame.header.meta.bucketed) columns.bucketed = true
    }
    this.version++
  }

  /** The run goes on from `step`: what was said for later steps no longer counts. */
  cutAfter(step) {
    for (const columns of this.paths.values()) {
      let keep = columns.step.length
      while (keep > 0 && columns.step[keep - 1] > step) keep--
      for (const name of COLUMNS) columns[name].length = keep
    }
    this.version++
  }

  get(path) {
    return this.paths.get(path)
  }

  last(path) {
    const values = this.paths.get(path)?.value
    return values?.length ? values[values.length - 1] : undefined
  }

  /** Whether joules were measured. */
  get hasJoules() {
    for (const columns of this.paths.values()) {
      if (columns.joules.some((value) => Number.isFinite(value))) return true
    }
    return false
  }
}

/** Exponential moving average, on logarithms for a log axis; gaps do not spread. */
export function smoothed(values, weight, log) {
  const result = new Array(values.length)
  let mean = NaN
  for (let i = 0; i < values.length; i++) {
    const value = log ? Math.log(values[i]) : values[i]
    if (Number.isFinite(value)) {
      mean = Number.isFinite(mean) ? weight * mean + (1 - weight) * value : value
    }
    result[i] = log ? Math.exp(mean) : mean
  }
  return result
}
