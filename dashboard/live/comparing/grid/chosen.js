// The chosen cell: its samples at a size to judge, what it was drawn with, and where to go on.

import { make } from "../../parts/dom.js"
import { duration, figure } from "../../parts/formatting.js"
import { drawGrid } from "../../pictures/drawing/images.js"
import { drawNamedPoints } from "../../pictures/drawing/points.js"
import { figureTitle, placeWords } from "./cells.js"
import { readFrames } from "./pictures.js"

const SIDE = 260

export class ChosenCell {
  /** `closed()`: nobody wants to see it any more. */
  constructor(closed) {
    const close = make("button.bl-quiet.bl-right", { type: "button" }, "Close")
    close.onclick = closed
    this.title = make("h2", {}, "The chosen cell")
    this.about = make("span.bl-muted")
    this.canvas = make("canvas", { role: "img" })
    this.table = make("table")
    this.links = make("div.bl-row.bl-ways")
    this.note = make("p.bl-muted")
    const side = make("div.bl-chosen-side", {}, this.table, this.note, this.links)
    this.body = make("div.bl-chosen", {}, make("div", {}, this.canvas), side)
    this.element = make(
      "section.bl-panel.bl-chosen-cell",
      { hidden: true },
      make("header", {}, this.title, this.about, close),
      this.body,
    )
  }

  /** Show a cell of these axes, or how it stands before it is drawn. */
  async show(axes, index, cell, token, colours) {
    this.element.hidden = false
    this.about.textContent = placeWords(axes, index).join(" · ")
    const key = JSON.stringify([cell?.id, cell?.state, colours.bg])
    if (key === this.key) return
    this.key = key
    this.body.hidden = cell?.state !== "done"
    if (cell?.state !== "done") {
      const words = { failed: `failed. ${cell?.reason}`, drawing: "is being drawn" }
      this.about.textContent += `: ${words[cell?.state] ?? "waits to be drawn"}`
      return
    }
    this.fill(cell, token)
    try {
      const { samples, held_out: data } = await readFrames(cell.id, token)
      if (this.key !== key) return
      this.canvas.hidden = !samples
      if (!samples) return
      this.canvas.setAttribute("aria-label", `Samples, ${this.about.textContent}`)
      if (samples.header.kind === "images") {
        drawGrid(this.canvas, samples, { width: SIDE, count: 64 })
      } else drawNamedPoints(this.canvas, samples, data, SIDE, colours)
    } catch (error) {
      this.note.textContent = error.message
    }
  }

  fill(cell, token) {
    const figures = Object.entries(cell.figures).filter(([name]) => !name.includes("/"))
    const beside = (name) => {
      const floor = cell.figures[`${name}/floor`]
      return floor === undefined ? "" : ` floor ${figure(floor)}`
    }
    const rows = figures
      .filter(([name, value]) => name !== "not_finite" || value)
      .map(([name, value]) => [figureTitle(name), figure(value), beside(name)])
    const cost = [duration(cell.seconds), cell.joules === null ? "" : `${figure(cell.joules)} J`]
    const seconds = cell.seconds < 1 ? `${figure(cell.seconds)} s` : cost[0]
    rows.push([`Drawing ${cell.num} samples`, seconds, cost[1] && ` ${cost[1]}`])
    this.table.replaceChildren(
      ...rows.map(([name, value, more]) =>
        make(
          "tr",
          {},
          make("td.bl-muted", {}, name),
          make("td", {}, make("b", {}, value), make("span.bl-muted", {}, more)),
        ),
      ),
    )
    const { caveat } = cell
    this.note.textContent = caveat && `${caveat[0].toUpperCase()}${caveat.slice(1)}.`
    const studio = new URLSearchParams({
      run: cell.run,
      ability: "sample",
      seed: cell.seed,
      config: JSON.stringify(cell.config),
    })
    const file = new URLSearchParams({ id: cell.id, part: "samples", token })
    this.links.replaceChildren(
      make("span", {}, "Sample set ", make("code", {}, cell.id)),
      make("a", { href: `live/sample_set?${file}`, download: `${cell.id}.npz` }, "Download .npz"),
      make("a", { href: `studio?${studio}` }, "Ask in Studio"),
      make("code", {}, `basin samples show ${cell.id}`),
    )
  }
}
