// Every column of a table: shares of data, chains and samples, and the gap between them.

import { coloursOf } from "../parts/colours.js"
import { make, Painter } from "../parts/dom.js"
import { canvasWays } from "../parts/figures/export.js"
import { runName } from "../parts/figures/figure.js"
import { figure } from "../parts/formatting.js"
import { cut } from "../parts/figures/text.js"
import { csvOf } from "../stream/frame_csv.js"
import { LAYERS, nameOf, paintShares } from "./pair_plot.js"
import { columnOf, gapOf, gapOfChance, rangeOfData } from "./drawing/statistics.js"

const COLUMN = 180
const [HEIGHT, GAP] = [124, 24]
const WORDS = { data: "data", chains: "train-time", samples: "long-run" }

export class ColumnMarginals {
  constructor() {
    this.about = make("span.bl-muted")
    this.canvas = make("canvas.bl-canvas", { role: "img" })
    const body = make("div.bl-columns", {}, this.canvas)
    this.slot = make("section.bl-panel", { hidden: true })
    const ways = canvasWays(this.slot, () => `columns-step-${this.frames.data.header.last[0]}`, {
      size: () => this.size(),
      draw: (context) => this.render(context),
      words: () => ({
        title: "Column by column",
        about: `${runName()}. ${capital(this.about.textContent)}`,
        legend: this.layers.map((layer) => ({
          name: WORDS[layer],
          colour: coloursOf(this.slot)[layer],
        })),
      }),
      csv: () => csvOf(this.frames.samples ?? this.frames.chains ?? this.frames.data),
    })
    this.slot.append(make("header", {}, make("h2", {}, "Column by column"), this.about, ways), body)
    this.painter = new Painter(this.canvas, () => this.paint())
    this.sizes = new ResizeObserver(() => this.painter.ask())
    this.sizes.observe(body)
  }

  close() {
    this.sizes.disconnect()
    this.painter.close()
  }

  /** Take the frames of a table by layer, or null where the run has none. */
  show(frames) {
    this.slot.hidden = !frames
    if (!frames) return
    // columns move with what is measured; chains between two looks are drawn in the pairs
    const key = [frames.data, frames.samples, !frames.samples && frames.chains]
      .map((frame) => frame?.header?.seq)
      .join()
    if (key === this.key) return
    Object.assign(this, { frames, key })
    this.num = frames.data.arrays.positions.shape[1]
    const made = frames.samples ?? frames.chains
    const rows = [frames.data, made].map((frame) => frame?.arrays.positions.shape[0] ?? 0)
    this.about.textContent = made
      ? `largest gap between the cumulative shares of ${rows[0]} data rows and ${rows[1]} ` +
        `${frames.samples ? "long-run samples" : "train-time samples"} · rows of one law differ by about ` +
        figure(gapOfChance(...rows))
      : `${rows[0]} data rows`
    this.painter.ask()
  }

  recolour() {
    this.painter.ask()
  }

  get layers() {
    return LAYERS.filter((layer) => this.frames[layer])
  }

  size() {
    this.width = Math.max(this.canvas.parentElement.clientWidth, 200)
    this.perRow = Math.max(1, Math.min(this.num, Math.floor((this.width + GAP) / (COLUMN + GAP))))
    return [this.width, Math.ceil(this.num / this.perRow) * (HEIGHT + GAP)]
  }

  paint() {
    if (!this.frames) return
    const ratio = window.devicePixelRatio || 1
    const [width, height] = this.size()
    this.canvas.width = width * ratio
    this.canvas.height = height * ratio
    this.canvas.style.cssText = `width:${width}px;height:${height}px`
    const context = this.canvas.getContext("2d")
    context.setTransform(ratio, 0, 0, ratio, 0, 0)
    const gaps = this.render(context)
    const words = gaps.map(({ name, gap }) => `${name} ${figure(gap)}`)
    this.canvas.setAttribute("aria-label", `Gap of each column: ${words.join(", ")}.`)
  }

  render(context) {
    const colours = coloursOf(this.slot)
    const wide = Math.min((this.width - GAP * (this.perRow - 1)) / this.perRow, 2 * COLUMN)
    return Array.from({ length: this.num }, (_, column) => {
      const place = { x: (column % this.perRow) * (wide + GAP) }
      place.y = Math.floor(column / this.perRow) * (HEIGHT + GAP)
      return this.renderColumn(context, column, place, wide, colours)
    })
  }

  renderColumn(context, column, { x, y }, width, colours) {
    const sets = this.layers.map((layer) => ({
      layer,
      values: columnOf(this.frames[layer], column),
    }))
    const [data] = sets
    const box = { x, y: y + 24, width, height: HEIGHT - 42 }
    const beyond = paintShares(context, box, sets, rangeOfData(data.values), colours, true)
    const made = sets.length > 1 ? sets.at(-1) : null
    const gap = made ? gapOf(data.values, made.values) : NaN
    const name = nameOf(this.frames.data, column)
    context.textBaseline = "top"
    context.font = "600 13px 'Source Sans', 'Source Sans Pro', sans-serif"
    context.fillStyle = colours.text
    context.textAlign = "left"
    context.fillText(cut(context, name, width - 60), x, y)
    if (made) {
      context.textAlign = "right"
      context.fillText(figure(gap), x + width, y)
      const far = beyond[made.layer]
      context.font = "12px 'Source Sans', 'Source Sans Pro', sans-serif"
      context.fillStyle = colours.muted
      if (far) context.fillText(`${far} beyond`, x + width, y + 18)
    }
    return { name, gap }
  }
}

const capital = (words) => (words ? words[0].toUpperCase() + words.slice(1) : "")
