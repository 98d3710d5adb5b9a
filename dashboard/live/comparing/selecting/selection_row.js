// What is selected, in words, with buttons that go through the samples, and all of it as a table.

import { make } from "../../parts/dom.js"
import { count } from "../../parts/formatting.js"
import { tableOf } from "../../parts/table.js"
import { distanceOf } from "./figures.js"

const MOST_ROWS = 100
const HELP =
  "Drag over samples, or click one: it is selected in every picture. ← → go through them."

export class SelectionRow {
  /** `num()`: how many samples all pictures share. */
  constructor(selection, num) {
    Object.assign(this, { selection, num })
    const button = (sign, label, act) => {
      const made = make("button.bl-quiet", { type: "button", title: label }, sign)
      made.setAttribute("aria-label", label)
      made.onclick = act
      return made
    }
    this.clear = button("clear", "Select nothing", () => selection.clear())
    this.words = make("span.bl-muted", { role: "status" })
    this.row = make(
      "div.bl-row.bl-selection",
      {},
      button("←", "Sample before", () => selection.move(-1, num())),
      button("→", "Next sample", () => selection.move(1, num())),
      this.words,
      this.clear,
    )
    this.body = make("div.bl-scroll.bl-tall")
    const title = make("summary", {}, "Selected, as a table")
    this.table = make("details", { hidden: true }, title, this.body)
    this.table.ontoggle = () => this.fill()
    this.element = make("div", { hidden: true }, this.row, this.table)
  }

  /** Show it for these pictures: [{title, frame, nearest}]. */
  show(pictures) {
    const { selection } = this
    this.pictures = pictures
    const num = this.num()
    const some = [...selection.places].filter((place) => place < num)
    const which = some.length === 1 ? `: sample ${some[0] + 1}` : ""
    this.words.textContent = some.length
      ? `${count(some.length)} of ${count(num)} selected${which}. Shift adds, Escape clears.`
      : HELP
    this.clear.hidden = this.table.hidden = !some.length
    this.fill()
  }

  fill() {
    const { selection, pictures, table } = this
    if (!table.open || table.hidden || !pictures) return
    const key = [selection.text(), ...pictures.map(({ frame }) => frame?.header.time)].join()
    if (key === this.filled) return
    this.filled = key
    const here = pictures.filter(({ frame }) => frame)
    const columns = here.flatMap(({ title }) => [`${title}: energy`, "to nearest training"])
    const places = [...selection.places].sort((a, b) => a - b).slice(0, MOST_ROWS)
    const rows = places.map((place) => [
      place + 1,
      ...here.flatMap(({ frame, nearest }) => [
        numberOr(frame.arrays.energies?.data[place]),
        numberOr(distanceOf(frame, nearest, place)),
      ]),
    ])
    this.body.replaceChildren(tableOf(["sample", ...columns], rows))
  }
}

const numberOr = (value) => (Number.isFinite(value) ? value : null)
