// A slider over powers of ten that changes a setting of a run that goes on.

import { make } from "./dom.js"
import { figure } from "./formatting.js"

const STEPS = 200
const PATIENCE = 15_000

export class SettingSlider {
  /** `about`: {word, value, low, high}; `onTurn(value)` once it is let go. */
  constructor(about, onTurn) {
    Object.assign(this, { about, asked: null })
    this.slider = make("input", { type: "range", min: 0, max: STEPS, step: 1 })
    this.slider.setAttribute("aria-label", about.word)
    this.value = make("output")
    this.slot = make(
      "label.bl-knob",
      {},
      make("span.bl-muted", {}, about.word),
      this.slider,
      this.value,
    )
    this.slider.oninput = () => {
      this.held = true
      this.say(this.chosen())
    }
    this.slider.onchange = () => {
      this.held = false
      this.asked = this.chosen()
      this.say(this.asked)
      onTurn(this.asked)
      clearTimeout(this.patience)
      this.patience = setTimeout(() => this.settle(this.used), PATIENCE)
    }
    this.follow(about.value)
  }

  /** The value under the thumb, to three digits. */
  chosen() {
    const { low, high } = this.about
    return Number((low * (high / low) ** (Number(this.slider.value) / STEPS)).toPrecision(3))
  }

  /** Follow the value that the run uses, unless the thumb is held or a change is on its way. */
  follow(value) {
    if (!(value > 0)) return
    this.used = value
    if (this.held || this.asked !== null) return
    if (value === this.standing) return
    this.standing = value
    const { low, high } = this.about
    this.slider.value = Math.round((STEPS * Math.log(value / low)) / Math.log(high / low))
    this.say(value)
  }

  /** The run has taken a change, or did not within `PATIENCE`: then it stands where it stood. */
  settle(value) {
    clearTimeout(this.patience)
    this.asked = null
    this.standing = null
    this.follow(value)
  }

  /** Allow turning it, or not. */
  enable(on) {
    this.slider.disabled = !on
    this.slider.title = on
      ? `${this.about.word}, taken at the run's next step`
      : "Only of a racer that is running"
  }

  say(value) {
    const waits = this.asked !== null && !this.held
    this.value.textContent = waits ? `${figure(value)} asked` : figure(value)
    this.slider.setAttribute("aria-valuetext", this.value.textContent)
  }
}
