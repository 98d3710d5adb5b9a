// Sample sets of a page: each is asked for until it is drawn, then its frames are read.

import { unpackAll } from "../stream/frames.js"

const ASK_EVERY = 700

export class DrawnSets {
  /** `changed()`: a set is further than it was, or here. */
  constructor(changed) {
    this.changed = changed
    /** {id, state, reason, num, num_drawn, frames, ...} by id */
    this.sets = new Map()
  }

  /** Follow these sets and no others. */
  follow(ids, token) {
    this.token = token
    for (const id of this.sets.keys()) if (!ids.includes(id)) this.sets.delete(id)
    for (const id of ids) {
      const known = this.sets.get(id)
      if (!known || known.state === "failed") this.sets.set(id, { id, state: "waiting" })
    }
    this.askAll()
  }

  get(id) {
    return this.sets.get(id)
  }

  /** True while a set is waited for. */
  get isWaiting() {
    return [...this.sets.values()].some(({ state, frames }) =>
      state === "done" ? !frames : state !== "failed",
    )
  }

  askAll() {
    clearTimeout(this.later)
    const open = [...this.sets.values()].filter(
      ({ state, frames }) => state !== "failed" && !frames,
    )
    Promise.all(open.map(({ id }) => this.ask(id))).then(() => {
      if (this.closed) return
      clearTimeout(this.later)
      if (this.isWaiting) this.later = setTimeout(() => this.askAll(), ASK_EVERY)
    })
  }

  async ask(id) {
    let set
    try {
      set = JSON.parse(await (await this.read(id, "fields")).text())
      if (set.state === "done") {
        set.frames = unpackAll(await (await this.read(id, "pictures")).arrayBuffer())
      }
    } catch (error) {
      set = { id, state: "failed", reason: error.message }
    }
    if (!this.sets.has(id) || this.closed) return
    this.sets.set(id, set)
    this.changed()
  }

  async read(id, part) {
    const response = await fetch(
      `live/sample_set?${new URLSearchParams({ id, part, token: this.token })}`,
    )
    if (!response.ok) throw new Error(await response.text())
    return response
  }

  close() {
    this.closed = true
    clearTimeout(this.later)
  }
}
