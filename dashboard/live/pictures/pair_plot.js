// The pair plot of a table: points below the diagonal, marginals on it, correlations above it.

import { colourAt, faded } from "../parts/colours.js"
import { figure, ticks } from "../parts/formatting.js"
import { cut } from "../parts/figures/text.js"
import { FONT } from "./drawing/plane.js"
import {
  chanceOf,
  columnOf,
  columnsToDraw,
  correlation,
  gapOf,
  rangeOfData,
  sharesOf,
} from "./drawing/statistics.js"

const MOST_COLUMNS = 8
const MOST_CELL = 168
const GAP = 3
const FOOT = 18
const BINS = 28
const BOLD = "600 12.5px 'Source Sans', 'Source Sans Pro', sans-serif"
/** a difference of correlations that has the full colour */
const FULL = 0.5
export const LAYERS = ["data", "chains", "samples"]

export const nameOf = (frame, column) => frame.header.meta.axes?.[column] ?? `x${column + 1}`

export class PairPlot {
  /** Take frames by layer {data, chains, samples} of points of one space; data must be there. */
  show(frames) {
    const made = frames.samples ?? frames.chains
    if (frames.data !== this.frames?.data) this.columns = []
    if (frames.data !== this.frames?.data || made !== this.made) this.prepare(frames.data, made)
    this.frames = frames
    this.made = made
  }

  prepare(data, made) {
    const dim = data.arrays.positions.shape[1]
    const columns = Array.from({ length: dim }, (_, column) => columnOf(data, column))
    const gaps = columns.map((values, column) => (made ? gapOf(values, columnOf(made, column)) : 0))
    this.columns = columnsToDraw(gaps, MOST_COLUMNS, this.columns)
    this.ranges = columns.map(rangeOfData)
    this.num = dim
  }

  /** [width, height] in `room` CSS pixels. */
  size(room) {
    const num = this.columns.length
    this.cell = Math.min((room - GAP * (num - 1)) / num, MOST_CELL)
    const side = num * this.cell + GAP * (num - 1)
    return [side, side + FOOT]
  }

  place(row, column) {
    return [column * (this.cell + GAP), row * (this.cell + GAP)]
  }

  /** All that does not move with the chains. */
  renderBase(context, layers, colours) {
    const { columns } = this
    columns.forEach((first, row) => {
      columns.forEach((second, column) => {
        const [x, y] = this.place(row, column)
        if (column < row) {
          context.fillStyle = colours.surface
          context.fillRect(x, y, this.cell, this.cell)
          for (const layer of ["data", "samples"]) {
            if (layers[layer]) this.dots(context, layer, row, column, colours)
          }
        } else if (column > row) this.correlate(context, first, second, x, y, colours)
      })
      this.marginal(context, first, row, layers, colours)
    })
    context.fillStyle = colours.muted
    context.font = FONT
    context.textAlign = "center"
    context.textBaseline = "top"
    columns.forEach((name, column) => {
      const [x] = this.place(0, column)
      const words = cut(context, nameOf(this.frames.data, name), this.cell - 4)
      context.fillText(words, x + this.cell / 2, columns.length * (this.cell + GAP))
    })
  }

  /** What moves with the chains. */
  renderChains(context, colours) {
    if (!this.frames.chains) return
    this.columns.forEach((_, row) => {
      for (let column = 0; column < row; column++) {
        this.dots(context, "chains", row, column, colours)
      }
    })
  }

  dots(context, layer, row, column, colours) {
    const frame = this.frames[layer]
    if (!frame) return
    const [x, y] = this.place(row, column)
    const [first, second] = [this.columns[column], this.columns[row]]
    const [xs, ys] = [this.ranges[first], this.ranges[second]]
    const { shape, data } = frame.arrays.positions
    const size = layer === "data" ? 1.3 : 2
    context.beginPath()
    for (let at = 0; at < data.length; at += shape[1]) {
      const across = (data[at + first] - xs[0]) / (xs[1] - xs[0])
      const up = (data[at + second] - ys[0]) / (ys[1] - ys[0])
      if (!(across >= 0 && across <= 1 && up >= 0 && up <= 1)) continue
      context.rect(
        x + across * this.cell - size / 2,
        y + (1 - up) * this.cell - size / 2,
        size,
        size,
      )
    }
    context.fillStyle = faded(colours[layer], layer === "data" ? 0.6 : 0.8)
    context.fill()
  }

  marginal(context, column, row, layers, colours) {
    const [x, y] = this.place(row, row)
    const box = { x, y: y + 18, width: this.cell, height: this.cell - 18 }
    const sets = LAYERS.filter((layer) => layer !== "chains" && layers[layer])
      .filter((layer) => this.frames[layer])
      .map((layer) => ({ layer, values: columnOf(this.frames[layer], column) }))
    paintShares(context, box, sets, this.ranges[column], colours)
    context.font = BOLD
    context.textAlign = "left"
    context.textBaseline = "top"
    context.fillStyle = colours.text
    const name = cut(context, nameOf(this.frames.data, column), this.cell - 4)
    context.fillText(name, x + 2, y + 2)
  }

  correlate(context, first, second, x, y, colours) {
    const { data } = this.frames
    const real = correlation(data, first, second)
    const made = this.made ? correlation(this.made, first, second) : NaN
    const difference = made - real
    const rows = [data, this.made ?? data].map((frame) => frame.arrays.positions.shape[0])
    const isChance = !(Math.abs(difference) > chanceOf(real, ...rows))
    context.fillStyle = isChance
      ? colours.surface
      : colourAt(colours.diverging, (1 + Math.max(-1, Math.min(1, difference / FULL))) / 2)
    context.fillRect(x, y, this.cell, this.cell)
    const middle = [x + this.cell / 2, y + this.cell / 2]
    context.textAlign = "center"
    context.textBaseline = "middle"
    const isSmall = this.cell < 50
    const isStrong = !isChance && Math.abs(difference) > FULL / 2
    if (this.made) {
      context.fillStyle = isStrong ? colours.bg : colours.text
      context.font = BOLD
      context.fillText(two(made), middle[0], middle[1] - 8)
    }
    context.fillStyle = isStrong ? colours.bg : isChance ? colours.muted : colours.text
    context.font = FONT
    context.fillText(isSmall ? two(real) : `data ${two(real)}`, middle[0], middle[1] + 8)
  }

  /** A sentence for those who do not see it. */
  sentence() {
    const names = this.columns.map((column) => nameOf(this.frames.data, column)).join(", ")
    const gaps = this.columns.flatMap((first, row) =>
      this.columns.slice(row + 1).map((second) => {
        if (!this.made) return 0
        return Math.abs(
          correlation(this.made, first, second) - correlation(this.frames.data, first, second),
        )
      }),
    )
    const most = gaps.length ? Math.max(...gaps.filter(Number.isFinite), 0) : 0
    return `Pair plot of ${names}. Correlations of samples and data differ by up to ${figure(most)}.`
  }
}

const two = (value) => (Number.isFinite(value) ? value.toFixed(2).replace("-", "−") : "–")

/**
 * Steps of several sets [{layer, values}] on one range in a box {x, y, width, height}; returns how
 * many values lie beyond it, by layer.
 */
export function paintShares(context, box, sets, range, colours, hasTicks = false) {
  const drawn = sets.map(({ layer, values }) => ({ layer, ...sharesOf(values, range, BINS) }))
  const most = Math.max(...drawn.flatMap(({ shares }) => shares), 1e-9)
  const bottom = box.y + box.height
  const bin = box.width / BINS
  for (const { layer, shares } of drawn) {
    context.beginPath()
    context.moveTo(box.x, bottom)
    shares.forEach((share, place) => {
      const y = bottom - (share / most) * box.height
      context.lineTo(box.x + place * bin, y)
      context.lineTo(box.x + (place + 1) * bin, y)
    })
    context.lineTo(box.x + box.width, bottom)
    if (layer === "samples") {
      context.fillStyle = faded(colours.samples, 0.16)
      context.fill()
    }
    context.strokeStyle = colours[layer]
    context.lineWidth = layer === "data" ? 1.3 : 1.1
    context.stroke()
  }
  if (hasTicks) {
    context.fillStyle = colours.muted
    context.font = FONT
    context.textAlign = "center"
    context.textBaseline = "top"
    for (const value of ticks(range, 3)) {
      const x = box.x + ((value - range[0]) / (range[1] - range[0])) * box.width
      if (x > box.x + 8 && x < box.x + box.width - 8) context.fillText(figure(value), x, bottom + 3)
    }
  }
  return Object.fromEntries(drawn.map(({ layer, beyond }) => [layer, beyond]))
}
