// A slider over one field of a question: answers given before come at once, others are asked for
// once the thumb rests. No answer is ever under a value that it was not asked with.

import { make } from "../parts/dom.js"
import { figure } from "../parts/formatting.js"

/** Milliseconds that the thumb rests before it is asked for. */
export const REST = 350

/** What stands for the stop under the thumb, without a page. */
export class Stops {
  /** `ask(value)` is called once the thumb has rested where no answer is. */
  constructor({ stops, cells }, ask) {
    Object.assign(this, { stops, cells, ask, index: null })
  }

  /** Move the thumb; returns the id of the answer that stands there, or null while it is asked. */
  move(index) {
    clearTimeout(this.resting)
    this.index = index
    const id = this.cells[index]
    if (!id) this.resting = setTimeout(() => this.ask(this.stops[index]), REST)
    return id
  }

  /** Where an answer's own value lies; null for a value that is left to the run. */
  place(value) {
    const index = this.stops.indexOf(value)
    return index < 0 ? null : index
  }

  close() {
    clearTimeout(this.resting)
  }
}

/** The name of a slider among those of an answer: its field and, of a list, the place in it. */
export function nameOf({ field, place }) {
  return place === null ? field : `${field}/${place}`
}

/** The number in a question's settings that a slider moves. */
export function numberIn(config, { field, place }) {
  return place === null ? config[field] : config[field][place]
}

/** What the field of a slider is with another number: of a list the others stay. */
export function fieldWith(config, { field, place }, number) {
  return place === null ? number : config[field].with(place, number)
}

/**
 * The sliders of an answer, one at a time: `show(id)` for an answer that stands, `wait(words)` while
 * one is asked, `ask(field, value)`.
 */
export function slider({ sweeps, config, show, wait, ask, chosen = "" }) {
  const sweep = sweeps.find((item) => nameOf(item) === chosen) ?? sweeps[0]
  const stops = new Stops(sweep, (value) => ask(sweep.field, fieldWith(config, sweep, value)))
  const at = stops.place(numberIn(config, sweep))
  const word = sweep.label
  const output = make("output", {}, at === null ? "left to the run" : said(sweep, at))
  const input = make("input", {
    type: "range",
    min: 0,
    max: sweep.stops.length - 1,
    step: 1,
    value: at ?? 0,
    "aria-label": `${word} of the answer`,
    "aria-valuetext": output.textContent,
  })
  const marks = make("div.bl-stops", { "aria-hidden": "true" })
  marks.append(...sweep.cells.map((id) => make(id ? "i.known" : "i")))
  input.oninput = () => {
    const index = Number(input.value)
    output.textContent = said(sweep, index)
    input.setAttribute("aria-valuetext", output.textContent)
    const id = stops.move(index)
    if (id) show(id)
    else wait(`Asking for ${word.toLowerCase()} ${output.textContent}…`)
  }
  const known = sweep.cells.filter(Boolean).length
  const about = `${known} of ${sweep.stops.length} values are there at once; others are asked for`
  const element = make(
    "section.bl-sweep",
    {},
    sweeps.length > 1 ? chooser(sweeps, sweep) : make("b", {}, word),
    make("div.bl-track", {}, input, marks),
    output,
    make("span.bl-muted", {}, about),
  )
  return { element, input, close: () => stops.close() }
}

function said({ stops, unit }, index) {
  return [figure(stops[index]), unit].filter(Boolean).join(" ")
}

function chooser(sweeps, sweep) {
  const select = make("select", { "aria-label": "Setting that the slider moves" })
  for (const item of sweeps) {
    const option = make("option", { value: nameOf(item) }, item.label)
    option.selected = item === sweep
    select.append(option)
  }
  return select
}
