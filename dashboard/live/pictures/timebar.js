// The time bar: looks back at earlier moments, all panels together, and plays them.

import { coloursOf } from "../parts/colours.js"
import { make } from "../parts/dom.js"
import { paintField } from "./drawing/field.js"
import { imageOf } from "./drawing/images.js"
import { count } from "../parts/formatting.js"

const MOST_PICTURES = 20
const MOST_HELD = 60
const MOST_STEPS = 1200
/** moments a second at speed 1 */
const PACE = 2
const SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64]

export class TimeBar {
  /** `onStep(step | null)`: look at a step, or at the present; `words(step)` says where that is. */
  constructor(slot, onStep, words = (step) => `step ${count(step)}`) {
    Object.assign(this, { onStep, words })
    this.steps = []
    this.step = null
    this.pictures = new Map()
    this.button = make("button.bl-quiet", { type: "button", textContent: "▶" })
    this.button.setAttribute("aria-label", "Play")
    this.button.onclick = () => this.toggle()
    this.button.title = "Replay (R)"
    this.present = make("button.bl-chip", {
      type: "button",
      textContent: "live",
      title: "Back to the present (L)",
    })
    this.present.onclick = () => this.live()
    this.speeds = make(
      "select",
      { "aria-label": "Speed of the replay" },
      ...SPEEDS.map((speed) =>
        make("option", { value: speed, textContent: `${speed}×`, selected: speed === 1 }),
      ),
    )
    this.speeds.onchange = () => {
      if (this.timer) this.play()
    }
    this.slider = make("input", { type: "range", min: 0, max: 0, value: 0 })
    this.slider.setAttribute("aria-label", "Step looked at")
    this.slider.oninput = () => {
      this.pause()
      this.choose(Number(this.slider.value))
    }
    this.film = make("div.bl-film")
    this.label = make("output")
    this.bar = make(
      "div.bl-time",
      {},
      this.button,
      this.speeds,
      this.present,
      make("div.bl-slide", {}, this.film, this.slider),
      this.label,
    )
    slot.append(this.bar)
    this.write()
  }

  /** The steps there are pictures of, and how far the run is. */
  know(steps, now) {
    this.steps = [...new Set(steps)].sort((a, b) => a - b)
    this.reach(now)
  }

  /** One more moment. Of very many, every other one is enough: the server keeps fewer still. */
  add(step) {
    if (this.steps.length && step <= this.steps[this.steps.length - 1]) return
    this.steps.push(step)
    if (this.steps.length > MOST_STEPS) {
      this.steps = this.steps.filter((_, place) => place % 2 === 0)
    }
    this.reach(Math.max(step, this.now ?? 0))
  }

  /** Take note of how far the run is. */
  reach(now) {
    this.now = now
    this.slider.max = Math.max(this.steps.length - 1, 0)
    this.slider.disabled = this.steps.length < 2
    this.button.disabled = this.slider.disabled
    this.slider.value =
      this.step === null
        ? this.slider.max
        : Math.max(
            this.steps.findLastIndex((at) => at <= this.step),
            0,
          )
    this.write()
  }

  choose(index) {
    const last = this.steps.length - 1
    if (last < 0) return
    const at = Math.max(0, Math.min(index, last))
    this.slider.value = at
    this.step = this.steps[at]
    this.write()
    this.onStep(this.step)
  }

  move(by) {
    const from =
      this.step === null ? this.steps.length - 1 : this.steps.findLastIndex((at) => at <= this.step)
    this.pause()
    this.choose(from + by)
  }

  live() {
    this.pause()
    this.step = null
    this.slider.value = this.slider.max
    this.write()
    this.onStep(null)
  }

  toggle() {
    if (this.timer) this.pause()
    else this.play()
  }

  /** From where one looks, or from the start; very fast, moments are passed over. */
  play() {
    clearInterval(this.timer)
    const place = () => this.steps.findLastIndex((at) => at <= this.step)
    if (this.step === null || place() >= this.steps.length - 1) this.choose(0)
    const rate = PACE * Number(this.speeds.value)
    const skip = Math.max(1, Math.round(rate / 16))
    this.timer = setInterval(
      () => {
        const next = place() + skip
        if (next >= this.steps.length) this.live()
        else this.choose(next)
      },
      (1000 * skip) / rate,
    )
    this.button.textContent = "❚❚"
    this.button.setAttribute("aria-label", "Pause the replay")
  }

  pause() {
    clearInterval(this.timer)
    this.timer = null
    this.button.textContent = "▶"
    this.button.setAttribute("aria-label", "Play")
  }

  write() {
    const place = this.step ?? this.now ?? 0
    this.label.textContent = `${this.words(place)}${this.step === null ? " · now" : ""}`
    this.slider.setAttribute("aria-valuetext", this.words(place))
    this.present.setAttribute("aria-pressed", String(this.step === null))
  }

  /** Keep a small picture of a moment; the strip shows some of them, evenly. */
  remember(frame) {
    const step = frame.header.last[0]
    if (this.pictures.has(step) || !["field", "images"].includes(frame.header.kind)) return
    this.pictures.set(step, { frame, picture: pictureOf(frame, coloursOf(this.film)) })
    if (this.pictures.size > MOST_HELD) {
      const steps = [...this.pictures.keys()].sort((a, b) => a - b)
      steps.forEach(
        (at, place) => place % 2 && place < steps.length - 1 && this.pictures.delete(at),
      )
    }
    this.redraw ??= setTimeout(() => this.strip(), 400)
  }

  /** The theme changed. */
  recolour() {
    const colours = coloursOf(this.film)
    for (const held of this.pictures.values()) held.picture = pictureOf(held.frame, colours)
    this.strip()
  }

  /** At most `most` of the steps, evenly chosen, with the first and the last. */
  spread(most) {
    const { steps } = this
    const place = (index) => Math.round((index * (steps.length - 1)) / Math.max(most - 1, 1))
    return new Set(Array.from({ length: Math.min(most, steps.length) }, (_, i) => steps[place(i)]))
  }

  strip() {
    this.redraw = null
    const steps = [...this.pictures.keys()].sort((a, b) => a - b)
    const room = Math.max(Math.floor(this.film.parentElement.clientWidth / 38), 2)
    const most = Math.min(MOST_PICTURES, room)
    const chosen = new Set()
    for (let i = 0; i < Math.min(most, steps.length); i++) {
      chosen.add(steps[Math.round((i * (steps.length - 1)) / Math.max(most - 1, 1)) || 0])
    }
    this.film.replaceChildren(
      ...[...chosen].map((step) => {
        const source = this.pictures.get(step).picture
        const picture = make("canvas", { width: source.width, height: source.height })
        picture.getContext("2d").drawImage(source, 0, 0)
        picture.title = this.words(step)
        picture.onclick = () => {
          this.pause()
          const near = this.steps.reduce(
            (best, at, index) =>
              Math.abs(at - step) < Math.abs(this.steps[best] - step) ? index : best,
            0,
          )
          this.choose(near)
        }
        return picture
      }),
    )
  }

  close() {
    this.pause()
    clearTimeout(this.redraw)
  }
}

function pictureOf(frame, colours) {
  return frame.header.kind === "field" ? paintField(frame, colours) : imageOf(frame, 0)
}
