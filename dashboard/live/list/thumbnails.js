// Pictures of the runs in sight, asked for one at a time.

import { coloursOf } from "../parts/colours.js"

const PATHS = [
  "landscape/model",
  "distribution/model",
  "principal/long_run",
  "samples/long_run",
  "samples/train_time",
  "future/landscape",
  "prediction/predicted",
  "memory/state",
]
/** that a row draws */
const KINDS = ["field", "images", "points"]
const MOST_KEPT = 400

export class Thumbnails {
  /** `rows(id)`: the rows that show the picture of a run. */
  constructor(root, rows) {
    Object.assign(this, { root, rows })
    this.frames = new Map()
    /** by run: its status when its picture was asked for */
    this.asked = new Map()
    this.wanted = []
  }

  /** `runs`: those in sight; what has left it is not asked for any more. */
  want(runs) {
    for (const run of runs) if (this.frames.has(run.id)) this.paint(run.id)
    this.wanted = runs.filter((run) => this.asked.get(run.id) !== run.status)
    if (!this.asking && this.wanted.length) this.fetch()
  }

  async fetch() {
    this.asking = true
    while (this.wanted.length) {
      const run = this.wanted.shift()
      this.asked.set(run.id, run.status)
      const frames = await this.live.seek(run.id, 2 ** 50, PATHS)
      // the line was lost: asked again when the row is next drawn
      if (!frames) this.asked.delete(run.id)
      const frame = mostTelling(frames ?? [])
      if (!frame) continue
      this.frames.delete(run.id)
      this.frames.set(run.id, frame)
      if (this.frames.size > MOST_KEPT) this.forget(this.frames.keys().next().value)
      this.paint(run.id, true)
    }
    this.asking = false
  }

  forget(id) {
    this.frames.delete(id)
    this.asked.delete(id)
  }

  paint(id, isNew = false) {
    const frame = this.frames.get(id)
    for (const row of this.rows(id)) {
      if (!isNew && row.painted === frame) continue
      row.painted = frame
      row.paint(frame, coloursOf(this.root))
    }
  }

  repaint() {
    for (const id of this.frames.keys()) this.paint(id, true)
  }
}

/** The first of PATHS that is a field or images; points where there is neither. */
function mostTelling(frames) {
  const known = PATHS.map((path) => frames.find(({ header }) => header.path === path))
  const drawn = known.filter((frame) => KINDS.includes(frame?.header.kind))
  return drawn.find(({ header }) => header.kind !== "points") ?? drawn[0]
}
