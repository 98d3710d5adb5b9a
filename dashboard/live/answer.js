// What a trained run answered: the sentence, its figures beside what they are read against,
// pictures and tables. Reads the answer from the run's folder.

import { cardOf, columnOf, words } from "./pictures/cards.js"
import { coloursOf } from "./parts/colours.js"
import { make, rootOf } from "./parts/dom.js"
import { readAnswer } from "./stream/answers.js"
import { tableAt, tableOf } from "./parts/table.js"
import { FIGURES } from "./parts/vocabulary.js"

const GAP = 20
/** Narrower, pictures stand one below another. */
const ROW = 480

export function mount(slot, component) {
  const page = new Answer(slot, component.data)
  return { update: (data) => page.show(data), unmount: () => page.close() }
}

class Answer {
  constructor(slot, data) {
    const { root, unwatch } = rootOf(slot, () => this.draw())
    Object.assign(this, { slot, root, unwatch })
    this.sizes = new ResizeObserver(() => this.draw())
    this.sizes.observe(root)
    this.show(data)
  }

  close() {
    this.sizes.disconnect()
    this.unwatch()
  }

  async show(data) {
    if (this.id === data.answer) return
    this.id = data.answer
    try {
      this.value = await readAnswer({ run: data.run, name: data.answer, token: data.token })
    } catch (error) {
      this.root.replaceChildren(
        make("div.bl-note.alarm", {}, `The answer could not be read: ${error.message}`),
      )
      return
    }
    this.frames = this.value.frames
    this.draw()
  }

  draw() {
    if (!this.frames) return
    const colours = coloursOf(this.root)
    const key = `${this.id} ${this.root.clientWidth} ${colours.bg}`
    if (key === this.drawn) return
    this.drawn = key
    const cards = this.cards(colours)
    const tables = this.value.tables.map(({ path, columns, rows }) =>
      make(
        "section.bl-panel",
        {},
        ...(path === "table" ? [] : [make("h2", {}, words(path))]),
        make("div.bl-scroll", {}, tableAt(path, columns, rows, named)),
      ),
    )
    this.root.replaceChildren(
      make("p.bl-answer", {}, this.value.summary),
      ...cards,
      ...tables,
      this.figures(),
    )
    this.slot.style.minHeight = ""
  }

  /** Images that show the same events stand in one row; whatever else there is after them. */
  cards(colours) {
    const width = this.root.clientWidth
    // tables have a place of their own below
    const drawn = this.frames.filter(({ header }) => header.kind !== "table")
    const alike = drawn.filter(({ header }) => header.kind === "images")
    const row = alike.length === 3 && width > ROW ? alike : []
    const card = (frame, room) => cardOf(frame, room, colours, this.data(frame))
    const side = Math.floor((width - 2 * GAP) / 3)
    const first = row.map((frame) => card(frame, side))
    const rest = drawn
      .filter((frame) => !row.includes(frame))
      .map((frame) => card(frame, columnOf(width)))
      .filter(Boolean)
    return [
      ...(first.length ? [make("div.bl-cards.bl-three", {}, ...first)] : []),
      ...(rest.length ? [make("div.bl-cards.bl-answers", {}, ...rest)] : []),
    ]
  }

  /** Every figure in a row, with its floor and whatever else stands beside it. */
  figures() {
    const { figures } = this.value
    const heads = Object.keys(figures).filter((name) => !besides(name, figures))
    const kinds = [
      ...new Set(
        Object.keys(figures)
          .map((name) => besides(name, figures))
          .filter(Boolean),
      ),
    ]
    if (!heads.length) return make("div")
    const rows = heads.map((name) => [
      words(name),
      figures[name],
      ...kinds.map((kind) => figures[`${name}/${kind}`] ?? null),
    ])
    return make(
      "details.bl-panel",
      { open: !this.value.tables.length },
      make("summary", {}, "All figures"),
      make("div.bl-scroll", {}, tableOf(["figure", "value", ...kinds.map(words)], rows, named)),
    )
  }

  /** Real points to draw others over. */
  data(frame) {
    return this.frames.find(
      ({ header }) =>
        header.kind === "points" && header.meta.role === "data" && header.seq !== frame.header.seq,
    )
  }
}

/** `floor` of `mse/floor` where `mse` is a figure itself. */
function besides(name, figures) {
  const at = name.lastIndexOf("/")
  return at > 0 && name.slice(0, at) in figures ? name.slice(at + 1) : ""
}

/** A name of code as words; what people wrote as it is. */
function named(word) {
  return word in FIGURES || /^[a-z]+(_[a-z0-9]+)+$/.test(word) ? words(word) : word
}
