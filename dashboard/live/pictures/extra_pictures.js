// Pictures beyond those of every run: a method's own, and the answers to the questions that were
// asked when it ended.

import { cardOf, columnOf } from "./cards.js"
import { coloursOf } from "../parts/colours.js"
import { make } from "../parts/dom.js"

/** Paths that the page draws in places of their own. */
const ELSEWHERE = new Set([
  "energy/histogram",
  "chains/walk",
  "chains/diagnostics",
  "quality/final",
  "landscape/model",
  "landscape/truth",
  "samples/data",
  "samples/noise",
  "samples/train_time",
  "samples/long_run",
])

export class ExtraPictures {
  constructor() {
    this.own = new Cards("The method's own pictures", true)
    this.answers = new Cards("Answers", false)
    this.slot = make("div", {}, this.own.slot, this.answers.slot)
  }

  show(frames) {
    const data = frames["samples/data"] ?? null
    const known = Object.entries(frames).filter(([path]) => !ELSEWHERE.has(path))
    const asked = ([path]) => path.startsWith("answers/")
    this.own.show(
      known.filter((entry) => !asked(entry)),
      data,
    )
    this.answers.show(known.filter(asked), data)
  }

  recolour() {
    this.own.draw(true)
    this.answers.draw(true)
  }
}

/** A panel that folds; its cards are drawn while it is open, each anew only when its frame is. */
class Cards {
  constructor(title, open) {
    this.body = make("div.bl-cards.bl-answers")
    this.slot = make(
      "details.bl-panel",
      { open, hidden: true },
      make("summary", {}, make("h3", {}, title)),
      this.body,
    )
    this.slot.addEventListener("toggle", () => this.draw())
    this.drawn = new Map()
    this.frames = []
  }

  show(frames, data) {
    Object.assign(this, { frames, data })
    this.slot.hidden = !frames.length
    this.draw()
  }

  draw(all = false) {
    if (!this.slot.open || this.slot.hidden || !this.slot.isConnected) return
    const colours = coloursOf(this.slot)
    const room = columnOf(this.body.clientWidth)
    let changed = this.frames.length !== this.drawn.size
    for (const [path, frame] of this.frames) {
      const known = this.drawn.get(path)
      if (known && known.seq === frame.header.seq && !all) continue
      const overlaid = liesAmong(frame, this.data) ? this.data : null
      const card = cardOf(frame, room, colours, overlaid) ?? make("span", { hidden: true })
      this.drawn.set(path, { seq: frame.header.seq, card })
      changed = true
    }
    const paths = new Set(this.frames.map(([path]) => path))
    for (const path of this.drawn.keys()) if (!paths.has(path)) this.drawn.delete(path)
    if (changed)
      this.body.replaceChildren(...this.frames.map(([path]) => this.drawn.get(path).card))
  }
}

/** True for points of the same space as the data: they are drawn over it. */
function liesAmong(frame, data) {
  const { kind, meta } = frame.header
  if (!data?.arrays.positions || kind !== "points") return false
  if (meta.role === "data" || meta.axes?.length) return false
  return frame.arrays.positions.shape[1] === data.arrays.positions.shape[1]
}
