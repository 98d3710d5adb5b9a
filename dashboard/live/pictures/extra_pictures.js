// Pictures beyond those of every run: a method's own, and the answers to the questions that were
// asked when it ended.

import { cardOf, columnOf } from "./cards.js"
import { ATTACKED } from "./drawing/attacked.js"
import { coloursOf } from "../parts/colours.js"
import { make } from "../parts/dom.js"

/** What a run that predicts is seen by, in this order. */
const FIRST = [
  "inner/ways",
  "prediction/text",
  "future/paths",
  "future/ways",
  "future/cut",
  "future/probabilities",
]

/** True where a run draws what it predicts: that stands first. */
export function hasPredictions(frames) {
  return FIRST.some((path) => frames[path])
}

/** Paths that the page draws in places of their own. */
const ELSEWHERE = new Set([
  ...FIRST,
  "future/landscape",
  ...ATTACKED,
  "energy/histogram",
  "chains/walk",
  "chains/positions",
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
    this.groups = {
      own: new Cards("The method's own pictures", true),
      principal: new Cards("Principal axes", true),
      chains: new Cards("How the chains move", true),
      answers: new Cards("Answers", false),
    }
    this.slot = make("div", {}, ...Object.values(this.groups).map(({ slot }) => slot))
  }

  /** `hasPlane`: the picture of the run draws the principal axes itself. */
  show(frames, hasPlane = false) {
    const entries = Object.entries(frames).filter(
      ([path]) => !ELSEWHERE.has(path) && !(hasPlane && path.startsWith("principal/")),
    )
    const groupOf = (path) => {
      const [folder] = path.split("/")
      return folder !== "own" && folder in this.groups ? folder : "own"
    }
    for (const [name, cards] of Object.entries(this.groups)) {
      cards.show(
        entries.filter(([path]) => groupOf(path) === name),
        frames[`${name}/data`] ?? frames["samples/data"] ?? null,
      )
    }
  }

  recolour() {
    for (const cards of Object.values(this.groups)) cards.draw(true)
  }
}

/** The pictures of predictions, in the place of the picture of a run. */
export class FirstPictures {
  constructor(slot) {
    this.slot = make("div.bl-cards.bl-answers")
    this.cards = new Map()
    this.frames = {}
    slot.append(this.slot)
    this.sizes = new ResizeObserver(() => this.show(this.frames))
    this.sizes.observe(slot)
  }

  show(frames) {
    this.frames = frames
    const there = FIRST.filter((path) => frames[path])
    const key = (path) => `${frames[path].header.seq} ${this.width}`
    const keys = there.map(key).join()
    if (keys === this.keys) return
    this.keys = keys
    const colours = coloursOf(this.slot)
    const room = columnOf(this.slot.clientWidth)
    const cards = there.map((path) => {
      if (this.cards.get(path)?.key !== key(path)) {
        const isPath = frames[path].header.kind === "trajectory"
        const under = isPath ? (frames["future/landscape"] ?? null) : null
        const card = cardOf(frames[path], room, colours, under, room)
        this.cards.set(path, { key: key(path), card })
      }
      return this.cards.get(path).card
    })
    this.slot.replaceChildren(...cards)
  }

  get width() {
    return this.slot.clientWidth
  }

  recolour() {
    this.cards.clear()
    this.keys = null
    this.show(this.frames)
  }

  close() {
    this.sizes.disconnect()
  }
}

/** A panel that folds; its cards are drawn while it is open, each anew when its frame is or the
 * width changes. */
class Cards {
  constructor(title, open) {
    this.body = make("div.bl-cards.bl-answers")
    this.slot = make(
      "details.bl-panel",
      { open, hidden: true },
      make("summary", {}, make("h2", {}, title)),
      this.body,
    )
    this.slot.addEventListener("toggle", () => this.draw())
    new ResizeObserver(() => this.draw()).observe(this.body)
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
      if (known?.seq === frame.header.seq && known.room === room && !all) continue
      const overlaid = liesAmong(frame, this.data) ? this.data : this.under(path, frame)
      const card = cardOf(frame, room, colours, overlaid) ?? make("span", { hidden: true })
      this.drawn.set(path, { seq: frame.header.seq, room, card })
      changed = true
    }
    const paths = new Set(this.frames.map(([path]) => path))
    for (const path of this.drawn.keys()) if (!paths.has(path)) this.drawn.delete(path)
    if (changed)
      this.body.replaceChildren(...this.frames.map(([path]) => this.drawn.get(path).card))
  }

  /** The landscape that lies beside paths in their folder: they are drawn over it. */
  under(path, { header }) {
    if (header.kind !== "trajectory") return null
    const folder = path.slice(0, path.lastIndexOf("/") + 1)
    const beside = this.frames.find(
      ([other, frame]) => frame.header.kind === "field" && folder && other.startsWith(folder),
    )
    return beside?.[1] ?? null
  }
}

/** True for points of the same space as the data: they are drawn over it. */
function liesAmong(frame, data) {
  const { kind, meta } = frame.header
  if (!data?.arrays.positions || kind !== "points") return false
  const names = [meta, data.header.meta].map(({ axes }) => (axes ?? []).join())
  if (meta.role === "data" || names[0] !== names[1]) return false
  return frame.arrays.positions.shape[1] === data.arrays.positions.shape[1]
}
