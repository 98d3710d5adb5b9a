// The landscape: field, data, walking chains with trails, long-run samples, on one canvas.

import { coloursOf, faded } from "./colours.js"
import { contours, paintField } from "./field.js"
import { figure } from "./numbers.js"

const MARGIN = { left: 34, right: 4, top: 4, bottom: 26 }
const HEAD = 3.7
const WALK_MS = 900

/** Three to five round numbers inside a range. */
export function ticks([low, high], most = 5) {
  const rough = (high - low) / most
  const power = 10 ** Math.floor(Math.log10(rough))
  const size = [1, 2, 5, 10].map((step) => step * power).find((step) => step >= rough)
  const found = []
  for (let value = Math.ceil(low / size) * size; value <= high; value += size) {
    found.push(Math.abs(value) < size * 1e-9 ? 0 : value)
  }
  return found
}

export class Landscape {
  constructor(slot, { onPin } = {}) {
    this.slot = slot
    this.canvas = document.createElement("canvas")
    this.canvas.className = "bl-canvas"
    this.canvas.setAttribute("role", "img")
    slot.append(this.canvas)
    this.layers = { data: true, chains: true, trails: true, samples: false, truth: false }
    this.view = "density"
    this.pinned = null
    this.still = matchMedia("(prefers-reduced-motion: reduce)").matches
    this.visible = true
    this.canvas.addEventListener("click", (event) => {
      this.pinned = this.nearest(event)
      onPin?.(this.pinned)
      this.draw()
    })
    this.sizes = new ResizeObserver(() => this.resize())
    this.sizes.observe(slot)
    this.seen = new IntersectionObserver(([entry]) => {
      this.visible = entry.isIntersecting
      if (this.visible) this.draw()
    })
    this.seen.observe(this.canvas)
  }

  close() {
    this.sizes.disconnect()
    this.seen.disconnect()
    cancelAnimationFrame(this.request)
  }

  resize() {
    const width = Math.max(this.slot.clientWidth, 160)
    const ratio = window.devicePixelRatio || 1
    const side = width - MARGIN.left - MARGIN.right
    const height = side + MARGIN.top + MARGIN.bottom
    if (this.width === width && this.ratio === ratio) return
    Object.assign(this, { width, height, side, ratio })
    this.canvas.width = width * ratio
    this.canvas.height = height * ratio
    this.canvas.style.width = `${width}px`
    this.canvas.style.height = `${height}px`
    this.draw()
  }

  /** Show frames by role: field, truth, data, samples, walk; null leaves one out. */
  show(frames) {
    if (frames.field !== this.frames?.field || frames.truth !== this.frames?.truth) {
      this.picture = null
    }
    const walked = frames.walk && frames.walk !== this.frames?.walk
    this.frames = frames
    if (walked) this.started = performance.now()
    this.describe()
    this.draw()
  }

  set(options) {
    Object.assign(this, options)
    this.picture = null
    this.draw()
  }

  describe() {
    const { walk, field } = this.frames
    const chains = walk ? walk.arrays.positions.shape[1] : 0
    const step = field ? field.header.last[0] : 0
    this.canvas.setAttribute(
      "aria-label",
      `Landscape of the model at step ${step} with ${chains} walking chains.`
    )
  }

  get shownField() {
    const { field, truth } = this.frames ?? {}
    return this.layers.truth && truth ? truth : field
  }

  place(x, y) {
    const { x_range: [left, right], y_range: [bottom, top] } = this.shownField.header.meta
    return [
      MARGIN.left + ((x - left) / (right - left)) * this.side,
      MARGIN.top + (1 - (y - bottom) / (top - bottom)) * this.side,
    ]
  }

  draw() {
    cancelAnimationFrame(this.request)
    this.request = requestAnimationFrame((now) => this.paint(now))
  }

  paint(now) {
    if (!this.width || !this.visible) return
    const context = this.canvas.getContext("2d")
    const colours = coloursOf(this.slot)
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0)
    context.clearRect(0, 0, this.width, this.height)
    const field = this.shownField
    if (!field) {
      context.fillStyle = colours.surface
      context.fillRect(MARGIN.left, MARGIN.top, this.side, this.side)
      return
    }
    if (!this.picture || this.pictureColours !== colours) {
      this.picture = paintField(field, colours, this.view)
      this.lines = this.view === "density" ? contours(field) : []
      this.pictureColours = colours
    }
    context.imageSmoothingEnabled = true
    context.imageSmoothingQuality = "high"
    context.drawImage(this.picture, MARGIN.left, MARGIN.top, this.side, this.side)
    this.paintContours(context, field, colours)
    this.paintAxes(context, field, colours)
    context.save()
    context.beginPath()
    context.rect(MARGIN.left, MARGIN.top, this.side, this.side)
    context.clip()
    const { data, samples } = this.frames
    if (this.layers.data && data) this.paintDots(context, data, colours.data, 0.55, 1.5)
    if (this.layers.samples && samples) {
      this.paintDots(context, samples, colours.samples, 0.9, 2.2, colours.bg)
    }
    const moving = this.layers.chains && this.paintWalk(context, now, colours)
    context.restore()
    if (moving) this.draw()
  }

  paintContours(context, field, colours) {
    const [height, width] = field.arrays.values.shape
    context.strokeStyle = faded(colours.text, 0.35)
    context.lineWidth = 0.6
    context.beginPath()
    const scale = [this.side / (width - 1), this.side / (height - 1)]
    for (const [x0, y0, x1, y1] of this.lines) {
      context.moveTo(MARGIN.left + x0 * scale[0], MARGIN.top + this.side - y0 * scale[1])
      context.lineTo(MARGIN.left + x1 * scale[0], MARGIN.top + this.side - y1 * scale[1])
    }
    context.stroke()
  }

  paintAxes(context, field, colours) {
    context.fillStyle = colours.muted
    context.font = "12px 'Source Sans', 'Source Sans Pro', sans-serif"
    const { x_range: xs, y_range: ys } = field.header.meta
    context.textAlign = "center"
    context.textBaseline = "top"
    for (const value of ticks(xs)) {
      const [x] = this.place(value, ys[0])
      if (x < MARGIN.left + this.side - 26) {
        context.fillText(figure(value), x, MARGIN.top + this.side + 7)
      }
    }
    context.textAlign = "right"
    context.fillText("x₁", MARGIN.left + this.side, MARGIN.top + this.side + 7)
    context.textBaseline = "middle"
    for (const value of ticks(ys)) {
      const [, y] = this.place(xs[0], value)
      if (y > MARGIN.top + 20) context.fillText(figure(value), MARGIN.left - 7, y)
    }
    context.fillText("x₂", MARGIN.left - 7, MARGIN.top + 8)
  }

  paintDots(context, frame, colour, opacity, radius, edge) {
    const { shape, data } = frame.arrays.positions
    context.fillStyle = faded(colour, opacity)
    context.beginPath()
    for (let i = 0; i < shape[0]; i++) {
      const [x, y] = this.place(data[i * shape[1]], data[i * shape[1] + 1])
      context.moveTo(x + radius, y)
      context.arc(x, y, radius, 0, 2 * Math.PI)
    }
    context.fill()
    if (edge) {
      context.strokeStyle = edge
      context.lineWidth = 0.6
      context.stroke()
    }
  }

  /** Positions of a chain at a row of the trajectory that need not be whole, on the canvas. */
  along(chain, row) {
    const { shape, data } = this.frames.walk.arrays.positions
    const [, chains, dim] = shape
    const low = Math.floor(row)
    const high = Math.min(low + 1, shape[0] - 1)
    const at = (index, axis) => data[(index * chains + chain) * dim + axis]
    const share = row - low
    return this.place(
      at(low, 0) * (1 - share) + at(high, 0) * share,
      at(low, 1) * (1 - share) + at(high, 1) * share
    )
  }

  /** Draws heads and trails; true while they still move. */
  paintWalk(context, now, colours) {
    const { walk } = this.frames
    if (!walk) return false
    const [steps, chains] = walk.arrays.positions.shape
    const share = this.still ? 1 : Math.min((now - this.started) / WALK_MS, 1)
    const head = share * (steps - 1)
    const outside = { left: 0, right: 0, top: 0, bottom: 0 }
    for (let chain = 0; chain < chains; chain++) {
      const dim = this.pinned !== null && this.pinned !== chain ? 0.25 : 1
      if (this.layers.trails) this.paintTrail(context, chain, head, steps, dim, colours)
      const [x, y] = this.along(chain, head)
      if (x < MARGIN.left) outside.left++
      else if (x > MARGIN.left + this.side) outside.right++
      else if (y < MARGIN.top) outside.top++
      else if (y > MARGIN.top + this.side) outside.bottom++
      context.beginPath()
      context.arc(x, y, HEAD, 0, 2 * Math.PI)
      context.fillStyle = faded(colours.chains, dim)
      context.fill()
      context.strokeStyle = faded(colours.bg, dim)
      context.lineWidth = 1.3
      context.stroke()
    }
    this.paintOutside(context, outside, colours)
    return share < 1
  }

  paintTrail(context, chain, head, steps, dim, colours) {
    const last = Math.floor(head)
    context.lineWidth = 1.1
    let [x, y] = this.along(chain, 0)
    for (let row = 1; row <= last + 1; row++) {
      const end = Math.min(row, head)
      const [toX, toY] = this.along(chain, end)
      const age = (head - end) / Math.max(steps - 1, 1)
      context.strokeStyle = faded(colours.chains, dim * (1 - age) ** 2 * 0.8)
      context.beginPath()
      context.moveTo(x, y)
      context.lineTo(toX, toY)
      context.stroke()
      this.paintRejected(context, chain, row, end, dim, colours)
      ;[x, y] = [toX, toY]
    }
  }

  /** A rejected proposal leaves a chain where it was: a hollow ring says so. */
  paintRejected(context, chain, row, end, dim, colours) {
    const accepted = this.frames.walk.arrays.accepted
    if (!accepted || end !== row || row > accepted.shape[0]) return
    if (accepted.data[(row - 1) * accepted.shape[1] + chain]) return
    const [x, y] = this.along(chain, row)
    context.beginPath()
    context.arc(x, y, HEAD + 2, 0, 2 * Math.PI)
    context.strokeStyle = faded(colours.chains, 0.5 * dim)
    context.stroke()
  }

  paintOutside(context, outside, colours) {
    const middle = [MARGIN.left + this.side / 2, MARGIN.top + this.side / 2]
    const places = {
      left: [MARGIN.left + 18, middle[1], "◀"],
      right: [MARGIN.left + this.side - 18, middle[1], "▶"],
      top: [middle[0], MARGIN.top + 14, "▲"],
      bottom: [middle[0], MARGIN.top + this.side - 14, "▼"],
    }
    context.fillStyle = colours.chains
    context.textAlign = "center"
    context.textBaseline = "middle"
    for (const [side, number] of Object.entries(outside)) {
      const [x, y, arrow] = places[side]
      if (number) context.fillText(`${arrow} ${number}`, x, y)
    }
  }

  /** The chain whose head is under the pointer, or null. */
  nearest(event) {
    const walk = this.frames?.walk
    if (!walk) return null
    const box = this.canvas.getBoundingClientRect()
    const [steps, chains] = walk.arrays.positions.shape
    let best = null
    let closest = 14
    for (let chain = 0; chain < chains; chain++) {
      const [x, y] = this.along(chain, steps - 1)
      const distance = Math.hypot(x - event.clientX + box.left, y - event.clientY + box.top)
      if (distance < closest) [best, closest] = [chain, distance]
    }
    return best
  }
}
