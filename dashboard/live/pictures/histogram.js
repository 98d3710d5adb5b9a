// Energies of data, samples and noise: histograms on one axis and one set of bins.

import { coloursOf, faded } from "../parts/colours.js"
import { drawn, Painter } from "../parts/dom.js"
import { figure, ticks } from "../parts/formatting.js"

const WORDS = {
  data: "data",
  noise: "noise",
  train_time: "train-time",
  long_run: "long-run",
  own: "this run's draws",
  other: "the other's draws",
}
const COLOURS = {
  data: "data",
  noise: "noise",
  train_time: "chains",
  long_run: "samples",
  own: "samples",
  other: "chains",
}
const MARGIN = { left: 2, right: 2, top: 20, bottom: 36 }

/** Name, unit, and how much of each set lies beyond the axis, as `energy, nats · noise: 512 above`. */
export function axisWords({ header, arrays }) {
  const parts = header.meta.names.map((name, row) => {
    const [below, above] = [0, 1].map((end) => arrays.clipped.data[2 * row + end])
    const sides = [below && `${below} below`, above && `${above} above`].filter(Boolean)
    return sides.length && `${WORDS[name] ?? name}: ${sides.join(", ")}`
  })
  return [`energy, ${header.meta.unit}`, ...parts.filter(Boolean)].join(" · ")
}

export class EnergyHistogram {
  constructor(slot, height = 150) {
    this.slot = slot
    this.height = height
    this.canvas = document.createElement("canvas")
    this.canvas.className = "bl-canvas"
    this.canvas.setAttribute("role", "img")
    this.canvas.setAttribute("aria-label", "Energies of data, samples and noise")
    slot.append(this.canvas)
    this.painter = new Painter(this.canvas, () => this.paint())
    this.sizes = new ResizeObserver(() => this.draw())
    this.sizes.observe(slot)
    this.resize()
  }

  close() {
    this.sizes.disconnect()
    this.painter.close()
  }

  show(frame) {
    if (frame === this.frame) return
    this.frame = frame
    this.draw()
  }

  draw() {
    this.painter.ask()
  }

  get step() {
    return this.frame?.header.last[0] ?? 0
  }

  get width() {
    return Math.max(this.slot.clientWidth, 200)
  }

  resize() {
    const ratio = window.devicePixelRatio || 1
    const { canvas, width, height } = this
    canvas.width = width * ratio
    canvas.height = height * ratio
    canvas.style.width = `${width}px`
    canvas.style.height = `${height}px`
    return ratio
  }

  paint() {
    const ratio = this.resize()
    if (!this.frame) return
    const context = this.canvas.getContext("2d")
    context.setTransform(ratio, 0, 0, ratio, 0, 0)
    this.render(context, this.width)
    drawn(this.canvas, this.frame.header)
  }

  /** Draw on a context of this width and the panel's height, in CSS pixels. */
  render(context, width) {
    const { height, frame } = this
    const colours = coloursOf(this.slot)
    const edges = frame.arrays.edges.data
    const [num, bins] = frame.arrays.counts.shape
    const counts = frame.arrays.counts.data
    const range = [edges[0], edges[bins]]
    const bottom = height - MARGIN.bottom
    const inner = width - MARGIN.left - MARGIN.right
    const x = (value) => MARGIN.left + ((value - range[0]) / (range[1] - range[0])) * inner
    // noise often falls into one bin: it must not flatten the rest
    let most = 0
    for (let row = 0; row < num; row++) {
      if (frame.header.meta.names[row] === "noise") continue
      for (let bin = 0; bin < bins; bin++) most = Math.max(most, counts[row * bins + bin])
    }
    most = most || 1
    const y = (value) => bottom - Math.min(value / most, 1.05) * (bottom - MARGIN.top)
    this.axis(context, range, x, bottom, width, colours)
    const labels = []
    frame.header.meta.names.forEach((name, row) => {
      const colour = colours[COLOURS[name] ?? "text"]
      context.beginPath()
      context.moveTo(x(range[0]), bottom)
      let top = 0
      for (let bin = 0; bin < bins; bin++) {
        const value = counts[row * bins + bin]
        if (value > counts[row * bins + top]) top = bin
        context.lineTo(x(edges[bin]), y(value))
        context.lineTo(x(edges[bin + 1]), y(value))
      }
      context.lineTo(x(range[1]), bottom)
      context.fillStyle = faded(colour, name === "noise" ? 0.05 : 0.14)
      context.fill()
      context.setLineDash(name === "noise" ? [3, 3] : [])
      context.strokeStyle = colour
      context.lineWidth = 1.4
      context.stroke()
      context.setLineDash([])
      const isOff = counts[row * bins + top] === 0
      const place = isOff ? width : x((edges[top] + edges[top + 1]) / 2)
      labels.push({ text: WORDS[name] ?? name, colour, x: place })
    })
    this.labels(context, labels, width)
  }

  axis(context, range, x, bottom, width, colours) {
    context.strokeStyle = colours.line2
    context.lineWidth = 1
    context.beginPath()
    context.moveTo(0, bottom + 0.5)
    context.lineTo(width, bottom + 0.5)
    context.stroke()
    context.fillStyle = colours.muted
    context.font = "12px 'Source Sans', 'Source Sans Pro', sans-serif"
    context.textAlign = "center"
    context.textBaseline = "top"
    for (const value of ticks(range, 6)) {
      const at = x(value)
      if (at > 14 && at < width - 14) context.fillText(figure(value), at, bottom + 5)
    }
    context.textAlign = "right"
    context.fillText(axisWords(this.frame), width - 2, bottom + 20)
  }

  /** Names above the shapes they belong to, moved apart where they would touch. */
  labels(context, labels, width) {
    context.font = "600 12.5px 'Source Sans', 'Source Sans Pro', sans-serif"
    context.textBaseline = "top"
    context.textAlign = "left"
    let free = 0
    const sorted = labels.sort((a, b) => a.x - b.x)
    const total = sorted.reduce((sum, label) => sum + context.measureText(label.text).width + 14, 0)
    sorted.forEach((label) => {
      const size = context.measureText(label.text).width
      const wanted = Math.max(label.x - size / 2, free)
      const start = total > width ? free : Math.min(wanted, width - size)
      context.fillStyle = label.colour
      context.fillText(label.text, start, 2)
      free = start + size + 14
    })
  }
}
