// What several runs recorded of their pictures while they trained: fetched once, those about the
// moment looked at first, and held up to a bound.

const MOST_BYTES = 96e6
const AT_ONCE = 6

const bytesOf = (frame) =>
  Object.values(frame.arrays).reduce((sum, { data }) => sum + data.byteLength, 0)

export class Moments {
  /** `seek(run, step, path)` gives a promise of the frame that stood there, or null; `arrived()`. */
  constructor(seek, arrived) {
    Object.assign(this, { seek, arrived })
    /** recorded steps, in order, by run and path */
    this.recorded = new Map()
    /** frames by key, those used last at the end */
    this.held = new Map()
    this.numBytes = 0
    this.pending = new Set()
    this.missing = new Set()
  }

  /** The steps that can be sought of a run, {path: [steps]}. */
  know(run, stepsOf) {
    for (const [path, steps] of Object.entries(stepsOf)) {
      this.recorded.set(
        `${run} ${path}`,
        [...new Set(steps)].sort((a, b) => a - b),
      )
    }
  }

  /** One more moment of a run that goes on. */
  add(run, path, step) {
    const steps = this.recorded.get(`${run} ${path}`) ?? []
    if (steps.length && step <= steps.at(-1)) return
    this.recorded.set(`${run} ${path}`, [...steps, step])
  }

  /** Every step at which one of these runs recorded a path, in order. */
  steps(runs, path) {
    const all = runs.flatMap((run) => this.recorded.get(`${run} ${path}`) ?? [])
    return [...new Set(all)].sort((a, b) => a - b)
  }

  /** The recorded step nearest to `step`, the earlier of two; null where there is none. */
  nearest(run, path, step) {
    const steps = this.recorded.get(`${run} ${path}`)
    if (!steps?.length) return null
    let [low, high] = [0, steps.length - 1]
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (steps[middle] <= step) low = middle
      else high = middle
    }
    return Math.abs(steps[high] - step) < Math.abs(steps[low] - step) ? steps[high] : steps[low]
  }

  /** The frame nearest to a step, or null until it is here. */
  get(run, path, step) {
    const key = `${run} ${path} ${this.nearest(run, path, step)}`
    const frame = this.held.get(key)
    if (!frame) return null
    this.held.delete(key)
    this.held.set(key, frame)
    return frame
  }

  /** Look at a step: what is missing there is fetched first, then what lies around it. */
  look(runs, path, step) {
    this.wanted = { runs, path, steps: this.steps(runs, path), step }
    this.fetch()
  }

  fetch() {
    while (this.pending.size < AT_ONCE) {
      const next = this.next()
      if (!next) return
      this.take(next)
    }
  }

  /** The nearest of what is neither here nor on its way; far ones only while there is room. */
  next() {
    if (!this.wanted) return null
    const { runs, path, steps, step } = this.wanted
    const at = Math.max(
      steps.findLastIndex((each) => each <= step),
      0,
    )
    for (let away = 0; away < steps.length; away++) {
      if (away > 1 && this.numBytes > 0.8 * MOST_BYTES) return null
      for (const place of away ? [at + away, at - away] : [at]) {
        if (!(place in steps)) continue
        for (const run of runs) {
          const near = this.nearest(run, path, steps[place])
          const key = `${run} ${path} ${near}`
          if (near === null || this.held.has(key)) continue
          if (!this.pending.has(key) && !this.missing.has(key)) return { run, path, near, key }
        }
      }
    }
    return null
  }

  async take({ run, path, near, key }) {
    this.pending.add(key)
    const frame = await this.seek(run, near, path)
    this.pending.delete(key)
    if (frame) this.hold(key, frame)
    else this.missing.add(key)
    this.arrived()
    this.fetch()
  }

  /** Wait until every run's frame nearest to a step is here, or cannot be had. */
  async whole(runs, path, step) {
    for (const run of runs) {
      const near = this.nearest(run, path, step)
      const key = `${run} ${path} ${near}`
      if (near !== null && !this.held.has(key)) await this.take({ run, path, near, key })
    }
  }

  hold(key, frame) {
    if (this.held.has(key)) return
    this.held.set(key, frame)
    this.numBytes += bytesOf(frame)
    for (const [old, { arrays }] of this.held) {
      if (this.numBytes <= MOST_BYTES || old === key) break
      this.held.delete(old)
      this.numBytes -= bytesOf({ arrays })
    }
  }

  /** What could not be had over a lost connection may be had over this one. */
  again() {
    this.missing.clear()
    this.fetch()
  }
}
