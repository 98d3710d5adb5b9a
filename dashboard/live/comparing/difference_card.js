// The card that takes one model's picture from another's.

import { fromAddress, keepInAddress, make } from "../parts/dom.js"
import { drawGrid } from "../pictures/drawing/images.js"
import { planeOn } from "../pictures/drawing/plane.js"
import { imageDifference, logDifference, MOST_NATS, paintDifference } from "./difference.js"
import { paintOver } from "./pictures.js"

export class DifferenceCard {
  /** `changed()`: another pair was chosen. */
  constructor(changed) {
    const field = (name, label) => {
      const select = make("select", { "aria-label": label, title: label })
      select.onchange = () => {
        keepInAddress(name, select.selectedIndex)
        this.chosen[name] = select.selectedIndex
        changed()
      }
      return select
    }
    this.chosen = {
      from: Number(fromAddress("from") ?? 0),
      to: Number(fromAddress("to") ?? 1),
    }
    this.from = field("from", "Taken away")
    this.to = field("to", "Compared with it")
    this.name = make("span.bl-name")
    this.canvas = make("canvas", { role: "img" })
    this.low = make("span")
    this.bar = make("i")
    this.high = make("span")
    this.element = make(
      "div.bl-card",
      {},
      make("div.bl-row", {}, this.name),
      make("div.bl-row.bl-pair", {}, this.to, make("span.bl-muted", {}, "−"), this.from),
      this.canvas,
      make("span.bl-scale", {}, this.low, this.bar, this.high),
    )
  }

  /** `pictures`: [{title, frame, run}] that can be compared; `view`: ranges of the axes, of fields. */
  draw(pictures, view, width, colours) {
    const last = pictures.length - 1
    const place = (index) => Math.max(0, Math.min(Number.isInteger(index) ? index : 0, last))
    const [from, to] = [place(this.chosen.from), place(this.chosen.to)]
    for (const [select, index] of [
      [this.from, from],
      [this.to, to],
    ]) {
      const options = pictures.map(({ title }) => make("option", { textContent: title }))
      select.replaceChildren(...options)
      select.selectedIndex = index
    }
    const [first, second] = [pictures[from], pictures[to]]
    const isField = first.frame.header.kind === "field"
    this.name.textContent = isField ? "Difference of log density" : "Difference, cell by cell"
    this.bar.style.background = `linear-gradient(90deg, ${colours.diverging.join(",")})`
    this.low.textContent = isField ? `lower, −${MOST_NATS} nats` : "darker"
    this.high.textContent = isField ? `higher, +${MOST_NATS} nats` : "brighter"
    this.canvas.ariaLabel = `${this.name.textContent}: ${second.title} less ${first.title}`
    const stamp = ({ frame: { header } }) => [header.run, header.path, header.seq, header.time]
    const key = JSON.stringify([from, to, stamp(first), stamp(second), view, width, colours.bg])
    if (key === this.painted) return
    this.painted = key
    if (!isField) {
      drawGrid(this.canvas, imageDifference(first.frame, second.frame, colours), { width })
      return
    }
    const plane = planeOn(this.canvas, width, view, colours)
    plane.context.imageSmoothingQuality = "high"
    const picture = paintDifference(logDifference(first.frame, second.frame), colours)
    paintOver(plane, picture, first.frame.header.meta)
  }
}
