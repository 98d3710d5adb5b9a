// The time bar: looks back at earlier moments, all panels together, and plays them.

import { coloursOf } from "./colours.js"
import { make, segments } from "./dom.js"
import { paintField } from "./field.js"
import { imageOf } from "./images.js"
import { count } from "./numbers.js"

const MOST_PICTURES = 14

export class TimeBar {
  /** `onStep(step | null)`: look at a step, or at the present. */
  constructor(slot, onStep) {
    this.onStep = onStep
    this.steps = []
    this.step = null
    this.pictures = new Map()
    this.button = make("button.bl-quiet", { type: "button", textContent: "▶" })
    this.button.setAttribute("aria-label", "Play")
    this.button.onclick = () => (this.timer ? this.pause() : this.play())
    this.speed = 1
    const speeds = segments(
      { live: "live", "×1": "1×", "×4": "4×", "×16": "16×" }, "live",
      (chosen) => {
        if (chosen === "live") return this.live()
        this.speed = Number(chosen.slice(1))
        this.play()
      },
      "Speed"
    )
    this.speeds = speeds
    this.slider = make("input", { type: "range", min: 0, max: 0, value: 0 })
    this.slider.setAttribute("aria-label", "Step looked at")
    this.slider.oninput = () => {
      this.pause()
      this.choose(Number(this.slider.value))
    }
    this.film = make("div.bl-film")
    this.label = make("output")
    this.bar = make(
      "div.bl-time", {}, this.button, speeds,
      make("div.bl-slide", {}, this.film, this.slider), this.label
    )
    slot.append(this.bar)
    this.write()
  }

  /** The steps there are pictures of, and how far the run is. */
  know(steps, now) {
    this.now = now
    if (steps.length) this.steps = steps
    this.slider.max = Math.max(this.steps.length - 1, 0)
    this.slider.disabled = this.steps.length < 2
    this.button.disabled = this.slider.disabled
    if (this.step === null) this.slider.value = this.slider.max
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
    const from = this.step === null ? this.steps.length - 1 : this.steps.indexOf(this.step)
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

  play() {
    clearInterval(this.timer)
    if (this.step === null || this.steps.indexOf(this.step) >= this.steps.length - 1) this.choose(0)
    this.timer = setInterval(() => {
      const next = this.steps.indexOf(this.step) + 1
      if (next >= this.steps.length) this.live()
      else this.choose(next)
    }, 1000 / (2 * this.speed))
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
    const shown = this.step ?? this.now ?? 0
    this.label.textContent = `step ${count(shown)}${this.step === null ? " · now" : ""}`
    this.slider.setAttribute("aria-valuetext", `step ${shown}`)
    const button = this.speeds.querySelector("button")
    button.setAttribute("aria-pressed", String(this.step === null))
    if (this.step === null) {
      for (const other of [...this.speeds.children].slice(1)) other.setAttribute("aria-pressed", "false")
    }
  }

  /** Keep a small picture of a moment; the strip shows some of them, evenly. */
  remember(frame) {
    const step = frame.header.last[0]
    if (this.pictures.has(step)) return
    const colours = coloursOf(this.film)
    const picture =
      frame.header.kind === "field" ? paintField(frame, colours) : imageOf(frame, 0)
    this.pictures.set(step, picture)
    clearTimeout(this.redraw)
    this.redraw = setTimeout(() => this.strip(), 200)
  }

  strip() {
    const steps = [...this.pictures.keys()].sort((a, b) => a - b)
    const room = Math.max(Math.floor(this.film.clientWidth / 56), 2)
    const most = Math.min(MOST_PICTURES, room)
    const chosen = new Set()
    for (let i = 0; i < Math.min(most, steps.length); i++) {
      chosen.add(steps[Math.round((i * (steps.length - 1)) / Math.max(most - 1, 1)) || 0])
    }
    this.film.replaceChildren(
      ...[...chosen].map((step) => {
        const source = this.pictures.get(step)
        const picture = make("canvas", { width: source.width, height: source.height })
        picture.getContext("2d").drawImage(source, 0, 0)
        picture.title = `step ${count(step)}`
        picture.onclick = () => {
          this.pause()
          const near = this.steps.reduce(
            (best, at, index) =>
              Math.abs(at - step) < Math.abs(this.steps[best] - step) ? index : best, 0)
          this.choose(near)
        }
        return picture
      })
    )
  }

  close() {
    this.pause()
    clearTimeout(this.redraw)
  }
}
