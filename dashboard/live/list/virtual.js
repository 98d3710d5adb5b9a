// Rows of one height, of which only those in sight are in the page: thousands scroll as few do.

import { make } from "../parts/dom.js"

const BEYOND = 6

export class VirtualRows {
  /** `height`: of a row, pixels; `draw(first, last)`: what is in sight has changed. */
  constructor(height, draw) {
    this.height = height
    this.draw = draw
    this.number = 0
    this.body = make("div.bl-runs", { role: "rowgroup" })
    this.moved = () => {
      this.request ??= requestAnimationFrame(() => {
        this.request = null
        const [first, last] = this.range()
        if (first !== this.first || last !== this.last) this.update()
      })
    }
    // whichever element scrolls
    document.addEventListener("scroll", this.moved, { capture: true, passive: true })
    window.addEventListener("resize", this.moved)
  }

  close() {
    cancelAnimationFrame(this.request)
    document.removeEventListener("scroll", this.moved, { capture: true })
    window.removeEventListener("resize", this.moved)
  }

  /** Places of the rows in sight and a few beyond: the first, and the one after the last. */
  range() {
    const { top } = this.body.getBoundingClientRect()
    const first = Math.max(Math.floor(-top / this.height) - BEYOND, 0)
    const last = Math.min(Math.ceil((window.innerHeight - top) / this.height) + BEYOND, this.number)
    return [Math.min(first, Math.max(this.number - 1, 0)), Math.max(last, 0)]
  }

  setNumber(number) {
    this.number = number
    this.body.style.height = `${number * this.height}px`
    this.update()
  }

  update() {
    ;[this.first, this.last] = this.range()
    this.draw(this.first, this.last)
  }

  /** Put elements in their places: [[place, element], ...] in order, and no others. */
  put(elements) {
    const wanted = new Set(elements.map(([, element]) => element))
    const left = [...this.body.children].filter((child) => !wanted.has(child))
    for (const child of left) child.remove()
    elements.forEach(([place, element], index) => {
      element.style.transform = `translateY(${place * this.height}px)`
      element.setAttribute("aria-rowindex", place + 2)
      const here = this.body.children[index]
      if (here !== element) this.body.insertBefore(element, here ?? null)
    })
  }
}
