// What a trained run answered: the sentence, its figures beside what they are read against,
// pictures and tables. Reads the answer from the run's folder.

import { WIDE, cardOf, columnOf, words } from "../pictures/cards.js"
import { coloursOf } from "../parts/colours.js"
import { make, rootOf } from "../parts/dom.js"
import { count, duration } from "../parts/formatting.js"
import { readAnswer } from "../stream/answers.js"
import { tableAt, tableOf, textScale } from "../parts/table.js"
import { FIGURES } from "../parts/vocabulary.js"
import { byHand } from "./by_hand.js"
import { energySection } from "./energies.js"
import { repeats } from "./repeats.js"
import { REST, slider } from "./sweep.js"

const GAP = 20
/** Narrower, pictures stand one below another. */
const ROW = 480
const MOMENT = {
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
}

export function mount(slot, component) {
  const page = new Answer(slot, component)
  return { update: (data) => page.update(data), unmount: () => page.close() }
}

class Answer {
  constructor(slot, component) {
    const { root, unwatch } = rootOf(slot, () => this.draw())
    Object.assign(this, { slot, root, unwatch, component, known: new Map() })
    this.sizes = new ResizeObserver(() => this.draw())
    this.sizes.observe(root)
    this.update(component.data)
  }

  close() {
    this.slider?.close()
    this.sizes.disconnect()
    this.unwatch()
  }

  /** What the page says: another answer, or more of them for the slider. */
  update(data) {
    const isAnother = data.answer !== this.data?.answer
    this.data = data
    this.swept = JSON.stringify(data.sweeps)
    // a page that says the same again leaves what the slider shows meanwhile
    if (isAnother) this.show(data.answer)
    else this.draw()
  }

  /** Read an answer, unless it was read before, and draw it if it is still the one wanted. */
  async show(id) {
    this.wanted = id
    this.waiting = ""
    const { run, token } = this.data
    try {
      if (!this.known.has(id)) this.known.set(id, readAnswer({ run, name: id, token }))
      const value = await this.known.get(id)
      if (this.wanted !== id || this.waiting) return
      Object.assign(this, { id, value, frames: value.frames })
    } catch (error) {
      this.known.delete(id)
      this.root.replaceChildren(
        make("div.bl-note.alarm", {}, `The answer could not be read: ${error.message}`),
      )
      return
    }
    this.draw()
  }

  /** While another value is asked for, nothing stands under its label. */
  wait(sentence) {
    this.waiting = sentence
    this.body.replaceChildren(make("div.bl-waiting", { role: "status" }, sentence))
    this.drawn = ""
  }

  draw() {
    if (!this.frames || this.waiting) return
    const colours = coloursOf(this.root)
    const { before, keeps, sets } = this.data
    const kept = `${keeps} ${sets}`
    const key = [
      this.id,
      this.data.answer,
      this.root.clientWidth,
      colours.bg,
      before,
      this.swept,
      kept,
    ].join(" ")
    if (key === this.drawn) return
    this.drawn = key
    const { value, data } = this
    const tables = value.tables.map((table) =>
      make(
        "section.bl-panel",
        {},
        ...(table.path === "table" ? [] : [make("h2", {}, words(table.path))]),
        make("div.bl-scroll", {}, tableAt(table.path, table, named)),
        ...(table.shares?.length ? [textScale()] : []),
      ),
    )
    const body = make(
      "div.bl-answer-body",
      {},
      make("p.bl-answer", {}, value.summary),
      ...this.cards(colours),
      energySection(value.figures, this.frames, this.root.clientWidth, colours) ?? "",
      ...tables,
      this.figures(),
      repeats(value, data.defaults, window.location.href),
    )
    const slide = this.slide()
    this.root.replaceChildren(this.head(), ...(slide ? [slide] : []), body)
    this.body = body
    if (this.isHeld) this.slider?.input.focus({ preventScroll: true })
    this.slot.style.minHeight = ""
  }

  /** What it is, and what it was asked with. */
  head() {
    const { value, data } = this
    const facts = [
      `seed ${value.seed}`,
      `step ${count(value.step)}`,
      new Date(value.time * 1000).toLocaleString("en-GB", MOMENT),
      Number.isFinite(value.took) ? `took ${duration(value.took)}` : "",
      data.before === this.id ? "asked before: this is what was kept" : "",
    ]
    const file = new URLSearchParams({ run: data.run, name: value.file ?? "", token: data.token })
    const save = make(
      "a.bl-button",
      { href: `live/file?${file}`, download: "" },
      "Download the arrays",
    )
    return make(
      "header.bl-answer-head",
      {},
      make("h2", {}, value.title),
      make("span.bl-muted", {}, facts.filter(Boolean).join(" · ")),
      ...(value.file ? [save] : []),
      ...this.keeping(),
    )
  }

  /** Its samples as sample sets: a button that keeps them, or a link to those that were kept. */
  keeping() {
    const { answer, keeps, sets } = this.data
    // a slider shows answers that the page knows nothing of yet
    if (!keeps || answer !== this.id) return []
    if (sets.length) {
      const name = sets.length > 1 ? `Kept as ${sets.length} sample sets` : "Kept as a sample set"
      const address = `compare?sets=${sets.join(",")}`
      return [make("a.bl-button", { href: address, title: sets.join(", ") }, name)]
    }
    const button = make("button.bl-button", { type: "button" }, "Keep as a sample set")
    button.onclick = () => {
      button.disabled = true
      this.component.setTriggerValue("act", { keep: answer })
    }
    return [button]
  }

  /** The slider over a field of the question, if it has one. */
  slide() {
    this.isHeld = this.slider?.input === document.activeElement
    this.slider?.close()
    this.slider = null
    const { sweeps } = this.data
    if (!sweeps?.length) return null
    const { run, seed } = this.value
    this.slider = slider({
      sweeps,
      chosen: this.chosen,
      config: this.value.config,
      show: (id) => this.take(id),
      wait: (sentence) => this.wait(sentence),
      ask: (field, value) =>
        this.component.setTriggerValue("act", { answer: this.data.answer, field, value }),
    })
    const select = this.slider.element.querySelector("select")
    if (select) {
      select.onchange = () => {
        this.chosen = select.value
        this.drawn = ""
        this.draw()
      }
    }
    return Object.assign(this.slider.element, { title: `Run ${run}, seed ${seed}` })
  }

  /** Show an answer that was given before; the page is told, so that its form and link follow. */
  take(id) {
    this.show(id)
    clearTimeout(this.telling)
    this.telling = setTimeout(() => {
      if (id !== this.data.answer) this.component.setTriggerValue("act", { shows: id })
    }, REST)
  }

  /** Images that show the same events stand in one row; whatever else there is after them. */
  cards(colours) {
    const width = this.root.clientWidth
    // tables have a place of their own below, and a landscape is under the path through it
    const under = this.under()
    const drawn = this.frames.filter((frame) => frame.header.kind !== "table" && frame !== under)
    const alike = drawn.filter(({ header }) => header.kind === "images")
    const row = alike.length === 3 && width > ROW ? alike : []
    const behind = (frame) => (frame.header.kind === "trajectory" ? under : this.real(frame))
    const card = (frame, room) => {
      const made = cardOf(frame, room, colours, behind(frame), WIDE)
      const { pointed, answer } = this.data
      if (pointed?.x && frame.header.kind === "trajectory" && answer === this.id)
        byHand(made, pointed, (fields) => this.component.setTriggerValue("act", { answer, fields }))
      return made
    }
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

  /** The landscape that a path goes through; none where there is no path. */
  under() {
    const ofKind = (kind) => this.frames.find(({ header }) => header.kind === kind)
    return ofKind("trajectory") ? ofKind("field") : undefined
  }

  /** Real points to draw others over. */
  real(frame) {
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
