// Two pictures in one place: a divider swiped across them, or one flipped for the other.

import { fromAddress, keepInAddress, make } from "../parts/dom.js"

const MOST_SIDE = 640

export class PairView {
  /** `changed()`: another pair was chosen. */
  constructor(changed) {
    this.changed = changed
    this.chosen = {
      first: Number(fromAddress("first") ?? 0),
      second: Number(fromAddress("second") ?? 1),
    }
    this.first = this.field("first", "Left, or below")
    this.second = this.field("second", "Right, or above")
    const swap = make("button.bl-quiet", { type: "button", title: "Swap" }, "⇄")
    swap.setAttribute("aria-label", "Swap the two")
    swap.onclick = () => this.choose(this.chosen.second, this.chosen.first)
    this.under = make("canvas", { role: "img" })
    this.over = make("canvas.bl-over", { role: "img" })
    this.line = make("i.bl-divider")
    this.stack = make("div.bl-stack", {}, this.under, this.over, this.line)
    this.divider = make("input", { type: "range", min: 0, max: 100, step: 0.5, value: 50 })
    this.divider.setAttribute("aria-label", "Divider")
    this.divider.oninput = () => this.place()
    this.flipper = make("button.bl-button", { type: "button" }, "Flip (F)")
    this.flipper.onclick = () => this.flip()
    this.word = make("span.bl-name", { role: "status" })
    this.about = make("span.bl-muted")
    this.stack.onpointermove = (event) =>
      this.drag(event, event.pointerType === "mouse" || event.buttons > 0)
    this.stack.onpointerdown = (event) => {
      this.drag(event, true)
      if (this.mode === "flip") this.flip()
    }
    this.isFlipped = false
    this.element = make(
      "div.bl-two",
      {},
      make("div.bl-row.bl-pair", {}, this.first, swap, this.second),
      this.stack,
      make("div.bl-row", {}, this.divider, this.flipper, this.word, this.about),
    )
  }

  field(name, label) {
    const select = make("select", { "aria-label": label, title: label })
    select.onchange = () => {
      const { first, second } = this.chosen
      if (name === "first") this.choose(select.selectedIndex, second)
      else this.choose(first, select.selectedIndex)
    }
    return select
  }

  choose(first, second) {
    Object.assign(this.chosen, { first, second })
    keepInAddress("first", first)
    keepInAddress("second", second)
    this.changed()
  }

  drag(event, isMeant) {
    if (this.mode !== "swipe" || !isMeant) return
    const box = this.stack.getBoundingClientRect()
    this.divider.value = (100 * (event.clientX - box.left)) / box.width
    this.place()
  }

  flip() {
    if (this.mode !== "flip") return
    this.isFlipped = !this.isFlipped
    this.place()
  }

  /** Show as much of the upper picture as the divider, or the flip, lets see. */
  place() {
    const isSwipe = this.mode === "swipe"
    const at = Number(this.divider.value)
    this.over.style.clipPath = isSwipe ? `inset(0 0 0 ${at}%)` : ""
    this.over.style.visibility = isSwipe || this.isFlipped ? "visible" : "hidden"
    this.line.style.left = `${at}%`
    this.line.hidden = !isSwipe
    this.divider.hidden = !isSwipe
    this.flipper.hidden = isSwipe
    const [first, second] = this.titles ?? []
    this.word.textContent = isSwipe
      ? `${first} left of the line, ${second} right of it`
      : this.isFlipped
        ? second
        : first
  }

  /**
   * `pictures`: [{title, frame, words, step}], `paint(canvas, index, side)` draws one; `width`: what
   * there is.
   */
  draw(mode, pictures, width, paint) {
    this.mode = mode
    const last = pictures.length - 1
    const inside = (index) => Math.max(0, Math.min(Number.isInteger(index) ? index : 0, last))
    const pair = [inside(this.chosen.first), inside(this.chosen.second)]
    ;[this.first, this.second].forEach((select, place) => {
      const names = pictures.map(({ title }) => title)
      if (names.join() !== select.names) {
        select.names = names.join()
        select.replaceChildren(...names.map((textContent) => make("option", { textContent })))
      }
      select.selectedIndex = pair[place]
    })
    this.titles = pair.map((index) => pictures[index].title)
    const side = Math.min(width, MOST_SIDE)
    const missing = pair.map((index) => pictures[index]).filter(({ frame }) => !frame)
    this.stack.hidden = missing.length > 0
    this.about.textContent = missing.length
      ? missing.map(({ title, words }) => `${title}: ${words ?? "nothing drawn yet"}`).join(" ")
      : pair.map((index) => pictures[index].step).join(" and ")
    if (!missing.length) {
      paint(this.under, pair[0], side)
      paint(this.over, pair[1], side)
      this.stack.style.width = this.under.style.width
      this.under.ariaLabel = this.titles[0]
      this.over.ariaLabel = this.titles[1]
    }
    this.place()
  }
}
