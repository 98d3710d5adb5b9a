// Curves of one run: columns that grow, and what a chart draws of them.

import { rows } from "./frames.js"

export const COSTS = ["step", "gradients", "seconds", "joules"]
const COLUMNS = [...COSTS, "value"]
const MOST_KEPT = 20_000
const MOST_DRAWN = 1500

/** Every scalar path of one run. */
export class Curves {
  constructor() {
    this.paths = new Map()
    this.details = new Map()
    this.version = 0
    /** which costs were counted: a method may follow no gradient, a machine measure no joules */
    this.costs = new Set(["step", "seconds"])
    /** how often all was said anew: details fetched before count no more */
    this.epoch = 0
  }

  clear() {
    this.paths.clear()
    this.details.clear()
    this.version++
    this.epoch++
  }

  /** Add a scalar frame: a block as it was said, or a path's history. */
  add(frame) {
    for (const [path, added] of Object.entries(rows(frame))) {
      if (!this.paths.has(path)) {
        this.paths.set(path, Object.fromEntries(COLUMNS.map((name) => [name, []])))
      }
      const columns = this.paths.get(path)
      columns.version = ++this.version
      if (added.gradients.some((value) => value > 0)) this.costs.add("gradients")
      if (added.joules.some(Number.isFinite)) this.costs.add("joules")
      columns.liveFrame = frame.header.meta.history
        ? null
        : { seq: frame.header.seq, time: frame.header.time }
      for (const name of COLUMNS) for (const value of added[name]) columns[name].push(value)
      if (frame.header.meta.bucketed) markBucketed(columns)
      // a page may stay open for days: what it holds of a path is bounded
      if (columns.value.length > MOST_KEPT) {
        const chosen = thinned(columns.value, MOST_KEPT / 2)
        for (const name of COLUMNS) columns[name] = chosen.map((row) => columns[name][row])
        markBucketed(columns)
      }
    }
  }

  /** Hold a stretch of one path at full resolution, in place of the stretch held before. */
  addDetail(frame) {
    for (const [path, columns] of Object.entries(rows(frame))) {
      columns.bucketed = frame.header.meta.bucketed
      this.details.set(path, columns)
      const held = this.paths.get(path)
      if (held) held.version = ++this.version
    }
  }

  /** A path with its detail set in; `from` and `to` are the steps of the stretch in detail. */
  detailed(path) {
    const [columns, detail] = [this.paths.get(path), this.details.get(path)]
    if (!columns?.bucketed || !detail?.step.length) return columns
    const [from, to] = [detail.step[0], detail.step[detail.step.length - 1]]
    const low = firstAt(columns.step, from)
    const high = firstAt(columns.step, to + 1)
    const whole = { ...columns, from, to, fine: !detail.bucketed }
    for (const name of COLUMNS) {
      whole[name] = [...columns[name].slice(0, low), ...detail[name], ...columns[name].slice(high)]
    }
    return whole
  }

  /** The run goes on from `step`: what was said for later steps no longer counts. */
  cutAfter(step) {
    for (const columns of this.paths.values()) {
      let keep = columns.step.length
      while (keep > 0 && columns.step[keep - 1] > step) keep--
      for (const name of COLUMNS) columns[name].length = keep
      columns.version = ++this.version
    }
    this.details.clear()
    this.epoch++
  }

  get(path) {
    return this.paths.get(path)
  }

  last(path) {
    const values = this.paths.get(path)?.value
    return values?.length ? values[values.length - 1] : undefined
  }
}

function markBucketed(columns) {
  columns.bucketed = true
  columns.bucketedTo = columns.step[columns.step.length - 1]
}

/** The first row of a rising column at or above a value; its length where none is. */
export function firstAt(column, value) {
  let [low, high] = [0, column.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (column[middle] < value) low = middle + 1
    else high = middle
  }
  return low
}

/** The last value at or before a place on an axis; undefined where there is none yet. */
export function valueAt(columns, axis, place) {
  const row = firstAt(columns[axis], place)
  return columns.value[columns[axis][row] === place ? row : row - 1]
}

/**
 * Rows from `start` up to `end` to draw: all, or the least and greatest of each bucket, so that
 * spikes stay. What is not a number hides nothing.
 */
export function thinned(values, most = MOST_DRAWN, start = 0, end = values.length) {
  const num = end - start
  if (num <= most) return Array.from({ length: Math.max(num, 0) }, (_, index) => start + index)
  const buckets = Math.floor(most / 2)
  const chosen = [start]
  for (let bucket = 0; bucket < buckets; bucket++) {
    const from = start + Math.floor((bucket * num) / buckets)
    const to = start + Math.floor(((bucket + 1) * num) / buckets)
    let [low, high] = [from, from]
    for (let i = from; i < to; i++) {
      if (values[i] < values[low] || Number.isNaN(values[low])) low = i
      if (values[i] > values[high] || Number.isNaN(values[high])) high = i
    }
    for (const row of [Math.min(low, high), Math.max(low, high)]) {
      if (row > chosen[chosen.length - 1]) chosen.push(row)
    }
  }
  if (chosen[chosen.length - 1] !== end - 1) chosen.push(end - 1)
  return chosen
}

/**
 * Exponential moving average, on logarithms for a log axis; gaps do not spread. It is debiased: the
 * first values are means of what there is, and the very first weighs no more than any other.
 */
export function smoothed(values, weight, log) {
  const result = []
  let [sum, known] = [0, 0]
  for (let i = 0; i < values.length; i++) {
    const value = log ? Math.log(values[i]) : values[i]
    if (Number.isFinite(value)) {
      sum = weight * sum + (1 - weight) * value
      known = weight * known + (1 - weight)
    }
    const mean = known ? sum / known : NaN
    result[i] = log ? Math.exp(mean) : mean
  }
  return result
}

const GRID = 160

/** Values of several curves on one grid: median, and the range (up to 5) or 10 to 90 %. */
export function band(curves, num = GRID) {
  const known = curves.filter(({ x }) => x.length > 0)
  if (!known.length) return { x: [], middle: [], low: [], high: [] }
  const start = Math.max(...known.map(({ x }) => x[0]))
  const end = Math.min(...known.map(({ x }) => x[x.length - 1]))
  const grid = Array.from({ length: num }, (_, i) => start + ((end - start) * i) / (num - 1))
  const rows = known.map(({ x, y }) => {
    let at = 0
    return grid.map((value) => {
      while (at < x.length - 2 && x[at + 1] < value) at++
      if (x.length === 1 || x[at + 1] === x[at]) return y[at]
      const share = Math.min(Math.max((value - x[at]) / (x[at + 1] - x[at]), 0), 1)
      return y[at] * (1 - share) + y[at + 1] * share
    })
  })
  const quantile = (values, share) => {
    const place = share * (values.length - 1)
    const low = Math.floor(place)
    const high = Math.min(low + 1, values.length - 1)
    return values[low] + (place - low) * (values[high] - values[low])
  }
  const [outer, inner] = known.length <= 5 ? [0, 1] : [0.1, 0.9]
  const result = { x: grid, middle: [], low: [], high: [] }
  grid.forEach((_, i) => {
    const values = rows
      .map((row) => row[i])
      .filter(Number.isFinite)
      .sort((a, b) => a - b)
    result.middle.push(values.length ? quantile(values, 0.5) : null)
    result.low.push(values.length ? quantile(values, outer) : null)
    result.high.push(values.length ? quantile(values, inner) : null)
  })
  return result
}
