// A grid of sample sets: cells as they are drawn, a figure over the same axes, one cell at large.

import { ChosenCell } from "./chosen.js"
import { figureNames, figureTitle, layoutOf } from "./cells.js"
import { Lattice } from "./lattice.js"
import { CellPictures, paintSmall } from "./pictures.js"
import { coloursOf } from "../../parts/colours.js"
import { drawn, fromAddress, keepInAddress, make, rootOf, segments } from "../../parts/dom.js"
import { linkCopier } from "../../parts/figures/export.js"
import { duration, figure } from "../../parts/formatting.js"

const ASK_EVERY = 500
/** Until the first cell is there. */
const ASK_FIRST = 150
const ASK_IDLE = 4000
const OPEN = ["waiting", "drawing"]
const WORDS = {
  waiting: "waits for the quick worker",
  drawing: "drawing",
  stopped: "stopped",
  done: "drawn",
  refused: "cannot be drawn",
}

export function mount(slot, component) {
  const page = new GridPage(slot, component)
  return { update: (data, next) => page.update(data, next), unmount: () => page.close() }
}

class GridPage {
  constructor(slot, component) {
    Object.assign(this, { component, data: component.data })
    const { root, unwatch } = rootOf(slot, () => this.redraw())
    Object.assign(this, { root, unwatch })
    this.cells = []
    this.mode = fromAddress("show") ?? "both"
    this.swapped = fromAddress("swap") === "yes"
    this.figure = fromAddress("figure")
    const cell = fromAddress("cell")
    this.index = cell === null ? null : Number(cell)
    this.build()
    this.sizes = new ResizeObserver(() => {
      if (this.axes && Math.abs(this.width - this.root.clientWidth) > 1) this.layOut()
    })
    this.sizes.observe(root)
    this.ask()
  }

  build() {
    this.note = make("div.bl-note.alarm", { hidden: true, role: "alert" })
    this.bar = make("div")
    this.facts = make("div.bl-facts", { role: "status" })
    this.act = make("button.bl-button", { type: "button", hidden: true })
    this.act.onclick = () => this.press()
    this.chooser = make("select", { "aria-label": "Figure", title: "Figure" })
    this.chooser.onchange = () => {
      this.figure = this.chooser.value
      keepInAddress("figure", this.figure)
      this.redraw()
    }
    const swap = make("button.bl-button", { type: "button" }, "⇄ Swap axes")
    swap.onclick = () => {
      this.swapped = !this.swapped
      keepInAddress("swap", this.swapped ? "yes" : null)
      if (this.axes) this.layOut()
    }
    this.modes = segments(
      { samples: "Samples", figure: "Figure", both: "Both" },
      this.mode,
      (mode) => {
        this.mode = mode
        keepInAddress("show", mode)
        this.showMode()
      },
      "Show",
    )
    const chosen = (index) => this.choose(index)
    this.lattice = new Lattice({ isPicture: true, chosen, inSight: () => this.wantPictures() })
    this.heat = new Lattice({ isPicture: false, chosen })
    this.pictures = new CellPictures((index, frame, ranges) => this.paint(index, frame, ranges))
    this.legend = make("span.bl-scale")
    this.figures = make(
      "section.bl-panel",
      {},
      make("header", {}, this.chooser, this.legend),
      this.heat.element,
    )
    this.chosen = new ChosenCell(() => this.choose(null))
    const progress = make("div.bl-bar", { "aria-hidden": "true" }, this.bar)
    this.root.classList.add("bl-xyz")
    this.root.append(
      this.note,
      make("div.bl-progress", {}, progress, this.facts, this.act),
      make("div.bl-row.bl-xyz-tools", {}, this.modes, swap, linkCopier()),
      this.lattice.element,
      this.figures,
      this.chosen.element,
    )
    this.showMode()
  }

  update(data, component) {
    const isOther = data.grid !== this.data.grid
    Object.assign(this, { data, component })
    if (isOther) {
      this.axes = null
      this.cells = []
      this.after = ""
      this.index = null
    }
    this.ask()
  }

  close() {
    clearTimeout(this.later)
    this.closed = true
    this.sizes.disconnect()
    this.pictures.close()
    this.lattice.close()
    this.heat.close()
    this.unwatch()
  }

  // ------------------------------------------------------------------ what is told

  async ask() {
    clearTimeout(this.later)
    const { grid, token } = this.data
    let wait = ASK_IDLE
    try {
      const query = new URLSearchParams({ id: grid, after: this.after ?? "", token })
      const response = await fetch(`live/grid?${query}`)
      if (!response.ok) throw new Error(await response.text())
      const told = await response.json()
      if (this.closed || grid !== this.data.grid) return
      this.take(told)
      if (OPEN.includes(told.progress.state)) wait = told.progress.done ? ASK_EVERY : ASK_FIRST
    } catch (error) {
      if (this.closed) return
      this.say(error.message)
    }
    clearTimeout(this.later)
    this.later = setTimeout(() => this.ask(), wait)
  }

  take(told) {
    this.after = told.now
    for (const [index, cell] of told.cells) this.cells[index] = cell
    this.progress = told.progress
    this.say(told.problems.map(([field, sentence]) => `${field} ${sentence}`).join(" "))
    if (!this.axes) {
      this.axes = told.axes
      this.num = told.sets.length
      this.cells.length = this.num
      this.layOut()
    } else this.show(told.cells)
    this.showProgress()
  }

  say(words) {
    this.note.hidden = !words
    this.note.textContent = words
  }

  press() {
    const isOpen = OPEN.includes(this.progress.state)
    this.act.disabled = true
    this.component.setTriggerValue("act", { what: isOpen ? "stop" : "go", at: Date.now() })
    setTimeout(() => {
      this.act.disabled = false
      this.ask()
    }, 1200)
  }

  showProgress() {
    const { state, num, done, failed, share, seconds, joules } = this.progress
    this.bar.style.width = `${100 * share}%`
    const left = this.progress.seconds_left
    const fact = (value, words) => make("span", {}, make("b", {}, value), ` ${words}`)
    const facts = [fact(String(done), `of ${num} cells ${WORDS[state]}`)]
    if (failed) facts.push(fact(String(failed), "failed"))
    if (left && state === "drawing")
      facts.push(fact(`about ${duration(Math.max(1, left))}`, "left"))
    if (seconds >= 1) facts.push(fact(duration(seconds), "of drawing"))
    if (joules !== null) facts.push(fact(`${figure(joules)} J`, ""))
    this.facts.replaceChildren(...facts)
    const isOpen = OPEN.includes(state)
    const rest = num - done
    this.act.hidden = !isOpen && (!rest || state === "refused")
    this.act.textContent = isOpen ? "Stop" : `Draw the ${rest} left`
  }

  // ------------------------------------------------------------------ what is shown

  layOut() {
    this.width = this.root.clientWidth
    const layout = layoutOf(this.axes, this.swapped)
    this.pictures.reset()
    this.lattice.build(this.axes, layout, this.width)
    this.heat.build(this.axes, layout, this.width)
    this.show(Array.from({ length: this.num }, (_, index) => [index, this.cells[index]]))
  }

  show(changed) {
    const there = this.cells.filter((cell) => cell?.state === "done")
    const names = figureNames(there)
    if (!names.includes(this.figure) && names.length) this.figure = names[0]
    const known = [...this.chooser.options].map((option) => option.value)
    if (names.join() !== known.join()) {
      this.chooser.replaceChildren(
        ...names.map((value) =>
          make("option", { value, selected: value === this.figure }, figureTitle(value)),
        ),
      )
    }
    this.lattice.show(changed, this.figure)
    this.heat.show(changed, this.figure)
    this.lattice.count(this.cells)
    this.heat.count(this.cells)
    if (changed.length) this.paintFigures()
    this.wantPictures()
    this.mark()
  }

  showMode() {
    this.lattice.element.hidden = this.mode === "figure"
    this.figures.hidden = this.mode === "samples"
  }

  /** Theme, or figure: everything is painted anew. */
  redraw() {
    if (!this.axes) return
    this.pictures.reset()
    this.show(this.cells.map((cell, index) => [index, cell]))
  }

  wantPictures() {
    const rowOf = (index) => this.lattice.cells.get(index).place.row
    const inSight = [...this.lattice.visible].sort((a, b) => rowOf(a) - rowOf(b) || a - b)
    const done = inSight.filter((index) => this.cells[index]?.state === "done")
    this.pictures.want(
      done.map((index) => [index, this.cells[index].id]),
      this.data.token,
    )
  }

  paint(index, frame, ranges) {
    const button = this.lattice.cells.get(index)
    if (!button) return
    const canvas = make("canvas", { "aria-hidden": "true" })
    paintSmall(canvas, frame, ranges, this.lattice.side - 2, coloursOf(this.root))
    button.replaceChildren(canvas)
    drawn(button, frame.header)
  }

  paintFigures() {
    const colours = coloursOf(this.root)
    const scale = this.heat.paintFigures(this.cells, this.figure, colours)
    if (!scale) return
    const ramp = make("i")
    ramp.style.background = `linear-gradient(90deg, ${colours.sequential.slice(0, 9).join(",")})`
    const { low, high, isLog } = scale
    const about = isLog ? "log scale" : ""
    const one = this.cells.find((cell) => cell?.figures[`${this.figure}/floor`] !== undefined)
    const floor = one ? `floor about ${figure(one.figures[`${this.figure}/floor`])}` : ""
    const words = [about, floor].filter(Boolean).join(" · ")
    this.legend.replaceChildren(figure(high), ramp, figure(low), words && ` · ${words}`)
  }

  choose(index) {
    this.index = index
    keepInAddress("cell", index)
    this.mark()
  }

  mark() {
    this.lattice.mark(this.index)
    this.heat.mark(this.index)
    this.chosen.element.hidden = this.index === null || !(this.index < this.num)
    if (this.chosen.element.hidden) return
    const cell = this.cells[this.index]
    this.chosen.show(this.axes, this.index, cell, this.data.token, coloursOf(this.root))
  }
}
