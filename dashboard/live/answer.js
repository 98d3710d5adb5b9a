// What a trained run answered: the sentence, its figures beside what they are read against,
// pictures and tables. Reads the answer from the run's folder.

import { cardOf, columnOf, words } from "./pictures/cards.js"
import { coloursOf } from "./parts/colours.js"
import { make, rootOf } from "./parts/dom.js"
import { readAnswer } from "./stream/answers.js"
import { tableOf } from "./parts/table.js"

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
    const cards = this.frames
      .map((frame) => cardOf(frame, columnOf(this.root.clientWidth), colours, this.data(frame)))
      .filter(Boolean)
    const tables = this.value.tables.map(({ path, columns, rows }) =>
      make(
        "section.bl-panel",
        {},
        ...(path === "table" ? [] : [make("h2", {}, words(path))]),
        make("div.bl-scroll", {}, tableOf(columns, rows, named)),
      ),
    )
    this.root.replaceChildren(
      make("p.bl-answer", {}, this.value.summary),
      ...(cards.length ? [make("div.bl-cards.bl-answers", {}, ...cards)] : []),
      ...tables,
      this.figures(),
    )
    this.slot.style.minHeight = ""
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
  return /^[a-z]+(_[a-z0-9]+)+$/.test(word) ? words(word) : word
}
