// Seed and steps of samples that several runs draw from the same numbers.

import { make } from "../parts/dom.js"

const MOST_SEED = 2 ** 31 - 1
const MOST_STEPS = 100_000

export class SeedRow {
  /** `onDraw({seed, steps, each_class})`: steps null leaves them to each run. */
  constructor(onDraw) {
    const field = (label, attributes) => {
      const input = make("input.bl-number", { type: "number", step: 1, ...attributes })
      return [input, make("label.bl-row.bl-muted", {}, label, input)]
    }
    const [seed, seedLabel] = field("seed", { min: 0, max: MOST_SEED, value: 0 })
    const [steps, stepsLabel] = field("sampler steps", {
      min: 1,
      max: MOST_STEPS,
      placeholder: "each run's own",
    })
    this.classes = make("input", { type: "checkbox" })
    this.classesLabel = make("label.bl-row.bl-muted", { hidden: true }, this.classes, "each class")
    this.classesLabel.title = "As many samples of every class, for models that know them"
    this.button = make("button.bl-button", { type: "button" }, "Draw samples")
    this.note = make("span.bl-muted", { role: "status" })
    const ask = () => {
      if (!seed.reportValidity() || !steps.reportValidity()) return
      onDraw({
        seed: Number(seed.value),
        steps: steps.value ? Number(steps.value) : null,
        each_class: this.classes.checked,
      })
    }
    this.button.onclick = ask
    for (const input of [seed, steps]) {
      input.onkeydown = (event) => {
        if (event.key === "Enter") ask()
      }
    }
    Object.assign(this, { seed, steps })
    this.row = make(
      "div.bl-row.bl-seeds",
      { hidden: true },
      seedLabel,
      stepsLabel,
      this.classesLabel,
      this.button,
      this.note,
    )
  }

  /** Show how far it is: {seed, steps, each_class}, and the sets, {state, num, num_drawn}. */
  show(drawn, sets) {
    // a set knows how many classes its model can be asked for
    const hasClasses = Boolean(drawn?.each_class) || sets.some((set) => set.num_labels > 0)
    this.classesLabel.hidden = !hasClasses
    const open = sets.filter((set) => !set.frames && set.state !== "failed")
    this.button.disabled = open.length > 0
    if (!drawn) {
      this.note.textContent = "Each run draws as it does in the Studio, from the same numbers."
      return
    }
    if (document.activeElement !== this.seed) this.seed.value = drawn.seed
    if (document.activeElement !== this.steps) this.steps.value = drawn.steps ?? ""
    if (document.activeElement !== this.classes) this.classes.checked = Boolean(drawn.each_class)
    const [now] = open.filter(({ state }) => state === "drawing")
    const part = now?.num ? `, ${now.num_drawn} of ${now.num} samples of the next` : ""
    this.note.textContent = open.length
      ? `Drawing: ${sets.length - open.length} of ${sets.length} done${part}.`
      : "The same starting noise and chain noise: runs that learned the same draw alike."
  }
}
