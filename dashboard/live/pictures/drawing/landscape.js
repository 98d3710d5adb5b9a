// The landscape: field, data, walking chains with trails, long-run samples, on one canvas.
//
// Keyframes come a few times a second. Between two of them the field fades over, and every chain
// goes through its true states, which its trail joins; from the last state of one keyframe to the
// first of the next a chain glides without a trail. `exact` shows true states alone.

import { coloursOf, faded } from "../../parts/colours.js"
import { drawn, make, Painter } from "../../parts/dom.js"
import { contours, paintField } from "./field.js"
import { paintBeyond, paintTicks, placing, strokeSegments } from "./plane.js"

const MARGIN = { left: 34, right: 4, top: 4, bottom: 26 }
const HEAD = 3.7
const FIRST_PACE = 600
const PACES = [150, 2000]
/** share of the time between two keyframes in which chains glide to where the next one begins */
const GLIDE = 0.2
const AGES = 8
const REST = 16

export class Landscape {
  /** `bare`: without axes, from edge to edge. */
  constructor(slot, { onPin, bare = false } = {}) {
    this.slot = slot
    this.margin = bare ? { left: 0, right: 0, top: 0, bottom: 0 } : MARGIN
    this.canvas = make("canvas.bl-canvas", { role: "img" })
    slot.append(this.canvas)
    this.layers = { data: true, chains: true, trails: true, samples: false, truth: false }
    this.view = "density"
    this.pinned = null
    this.exact = matchMedia("(prefers-reduced-motion: reduce)").matches
    this.pace = FIRST_PACE
    /** how often it was painted: tests and benchmarks count it */
    this.canvas.paints = 0
    this.canvas.addEventListener("click", (event) => {
      this.pinned = this.nearest(event)
      onPin?.(this.pinned)
      this.draw()
    })
    this.painter = new Painter(this.canvas, (now) => this.paint(now))
    this.sizes = new ResizeObserver(() => this.resize())
    this.sizes.observe(slot)
    this.resize()
  }

  close() {
    clearTimeout(this.timer)
    this.sizes.disconnect()
    this.painter.close()
  }

  resize() {
    const width = Math.max(this.slot.clientWidth, 160)
    const ratio = window.devicePixelRatio || 1
    const side = width - this.margin.left - this.margin.right
    const height = side + this.margin.top + this.margin.bottom
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
    const now = performance.now()
    const before = this.frames
    const walked = frames.walk && frames.walk !== before?.walk
    if (walked && before?.walk) this.from = this.heads(now)
    if (this.fieldOf(frames) !== this.fieldOf(before)) {
      this.faded = this.picture
      this.picture = null
      this.turned = now
    }
    this.frames = frames
    if (walked) {
      if (this.started) {
        const gap = Math.min(Math.max(now - this.started, PACES[0]), PACES[1])
        this.pace = 0.7 * this.pace + 0.3 * gap
      }
      this.started = now
    }
    this.describe()
    this.draw()
  }

  set(options) {
    Object.assign(this, options)
    this.picture = null
    this.faded = null
    this.draw()
  }

  describe() {
    const { walk, field } = this.frames
    const chains = walk ? walk.arrays.positions.shape[1] : 0
    const step = field ? field.header.last[0] : 0
    this.canvas.setAttribute(
      "aria-label",
      `Landscape of the model at step ${step} with ${chains} walking chains.`,
    )
  }

  fieldOf(frames) {
    return frames && this.layers.truth && frames.truth ? frames.truth : frames?.field
  }

  get drawnField() {
    return this.fieldOf(this.frames)
  }

  /** The place of the plane on the canvas, in CSS pixels. */
  get box() {
    return { left: this.margin.left, top: this.margin.top, width: this.side, height: this.side }
  }

  place(x, y) {
    const { x_range: xs, y_range: ys } = this.drawnField.header.meta
    return placing(this.box, [xs, ys])(x, y)
  }

  draw() {
    this.painter.ask()
  }

  paint(now) {
    if (!this.width) return
    const context = this.canvas.getContext("2d")
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0)
    context.clearRect(0, 0, this.width, this.height)
    if (this.render(context, now)) this.again()
    this.canvas.paints++
    for (const role of ["field", "walk", "samples"]) {
      const frame = this.frames?.[role]
      if (frame && !frame.isDrawn) {
        frame.isDrawn = true
        drawn(this.canvas, frame.header)
      }
    }
  }

  /** Every other frame of a screen is enough for the eye, and half the work. */
  again() {
    this.timer ??= setTimeout(() => {
      this.timer = null
      this.draw()
    }, REST)
  }

  /** Draw it as it stands at a moment; true while it moves. */
  render(context, now) {
    const colours = coloursOf(this.slot)
    const field = this.drawnField
    if (!field) {
      context.fillStyle = colours.surface
      context.fillRect(this.margin.left, this.margin.top, this.side, this.side)
      return false
    }
    if (!this.picture || this.pictureColours !== colours) {
      if (this.pictureColours !== colours) this.faded = null
      this.picture = paintField(field, colours, this.view)
      this.picture.lines = this.view === "density" ? contours(field) : []
      this.pictureColours = colours
    }
    const share = this.exact || !this.faded ? 1 : Math.min((now - this.turned) / this.pace, 1)
    if (share < 1) this.paintField(context, this.faded, 1, 1 - share, colours)
    this.paintField(context, this.picture, share, share, colours)
    this.paintAxes(context, field, colours)
    context.save()
    context.beginPath()
    context.rect(this.margin.left, this.margin.top, this.side, this.side)
    context.clip()
    const { data, samples } = this.frames
    if (this.layers.data && data) this.paintData(context, data, colours)
    if (this.layers.samples && samples) {
      this.paintDots(context, samples, colours.samples, 0.9, 2.2, colours.bg)
    }
    const moving = this.layers.chains && this.paintWalk(context, now, colours)
    context.restore()
    return moving || share < 1
  }

  paintField(context, picture, opacity, lines, colours) {
    context.globalAlpha = opacity
    context.imageSmoothingEnabled = true
    context.imageSmoothingQuality = "high"
    context.drawImage(picture, this.margin.left, this.margin.top, this.side, this.side)
    context.globalAlpha = lines
    this.paintContours(context, picture, colours)
    context.globalAlpha = 1
  }

  /** The data stays where it is: on the screen it is painted once and then copied. */
  paintData(context, data, colours) {
    if (!(context instanceof CanvasRenderingContext2D)) {
      this.paintDots(context, data, colours.data, 0.55, 1.5)
      return
    }
    const { x_range: xs, y_range: ys } = this.drawnField.header.meta
    const key = [data.header.seq, this.width, this.ratio, colours.data, ...xs, ...ys].join()
    if (this.cloud?.key !== key) {
      const canvas = make("canvas", { width: this.canvas.width, height: this.canvas.height })
      const inner = canvas.getContext("2d")
      inner.setTransform(this.ratio, 0, 0, this.ratio, 0, 0)
      this.paintDots(inner, data, colours.data, 0.55, 1.5)
      this.cloud = { key, canvas }
    }
    context.drawImage(this.cloud.canvas, 0, 0, this.width, this.height)
  }

  paintContours(context, picture, colours) {
    strokeSegments(context, picture.lines, this.box, [picture.width, picture.height], colours)
  }

  paintAxes(context, field, colours) {
    if (this.margin !== MARGIN) return
    const { left, top, width, height } = this.box
    const { x_range: xs, y_range: ys } = field.header.meta
    paintTicks(context, this.box, [xs, ys], colours, { freeRight: 26, freeTop: 20 })
    context.textAlign = "right"
    context.textBaseline = "top"
    context.fillText("x₁", left + width, top + height + 7)
    context.textBaseline = "middle"
    context.fillText("x₂", left - 7, top + 8)
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

  /** Position of a chain at a row of the trajectory that need not be whole, on the canvas. */
  along(chain, row) {
    const { shape, data } = this.frames.walk.arrays.positions
    const [, chains, dim] = shape
    const low = Math.floor(row)
    const high = Math.min(low + 1, shape[0] - 1)
    const at = (index, axis) => data[(index * chains + chain) * dim + axis]
    const share = row - low
    return this.place(
      at(low, 0) * (1 - share) + at(high, 0) * share,
      at(low, 1) * (1 - share) + at(high, 1) * share,
    )
  }

  /** The progress of the walk: {glide 0 to 1, row, moving}. */
  moment(now) {
    const rows = this.frames.walk.arrays.positions.shape[0]
    const share = Math.min((now - this.started) / this.pace, 1)
    const moving = share < 1
    // true states one after the other, with nothing between
    if (this.exact) return { glide: 1, row: Math.floor(share * (rows - 1) + 1e-9), moving }
    const gliding = this.from ? GLIDE : 0
    if (share < gliding) return { glide: share / gliding, row: 0, moving }
    return { glide: 1, row: ((share - gliding) / (1 - gliding)) * (rows - 1), moving }
  }

  /** The place of each chain on the canvas at a moment. */
  heads(now) {
    const { glide, row } = this.moment(now)
    const chains = this.frames.walk.arrays.positions.shape[1]
    return Array.from({ length: chains }, (_, chain) => {
      const [x, y] = this.along(chain, row)
      const from = glide < 1 && this.from?.[chain]
      return from ? [from[0] + glide * (x - from[0]), from[1] + glide * (y - from[1])] : [x, y]
    })
  }

  /** Draws heads and trails; true while they still move. */
  paintWalk(context, now, colours) {
    const { walk } = this.frames
    if (!walk) return false
    const { glide, row, moving } = this.moment(now)
    if (this.layers.trails && glide === 1) this.paintTrails(context, row, colours)
    const outside = { left: 0, right: 0, top: 0, bottom: 0 }
    this.heads(now).forEach(([x, y], chain) => {
      const dim = this.pinned !== null && this.pinned !== chain ? 0.25 : 1
      if (x < this.margin.left) outside.left++
      else if (x > this.margin.left + this.side) outside.right++
      else if (y < this.margin.top) outside.top++
      else if (y > this.margin.top + this.side) outside.bottom++
      context.beginPath()
      context.arc(x, y, HEAD, 0, 2 * Math.PI)
      context.fillStyle = faded(colours.chains, dim)
      context.fill()
      context.strokeStyle = faded(colours.bg, dim)
      context.lineWidth = 1.3
      context.stroke()
    })
    paintBeyond(context, this.box, outside, colours.chains)
    return moving
  }

  /** Straight lines from state to state, the older the fainter: one stroke an age. */
  paintTrails(context, head, colours) {
    const [steps, chains] = this.frames.walk.arrays.positions.shape
    const last = Math.min(Math.floor(head) + 1, steps - 1)
    context.lineWidth = 1.1
    for (const isPinned of this.pinned === null ? [false] : [false, true]) {
      const dim = this.pinned !== null && !isPinned ? 0.25 : 1
      for (let age = 0; age < AGES; age++) {
        context.beginPath()
        for (let row = 1; row <= last; row++) {
          const end = Math.min(row, head)
          const old = Math.min(Math.floor(((head - end) / Math.max(steps - 1, 1)) * AGES), AGES - 1)
          if (old !== age) continue
          for (let chain = 0; chain < chains; chain++) {
            if (this.pinned !== null && (chain === this.pinned) !== isPinned) continue
            context.moveTo(...this.along(chain, row - 1))
            context.lineTo(...this.along(chain, end))
          }
        }
        context.strokeStyle = faded(colours.chains, dim * (1 - (age + 0.5) / AGES) ** 2 * 0.8)
        context.stroke()
      }
    }
    for (let chain = 0; chain < chains; chain++) {
      const dim = this.pinned !== null && this.pinned !== chain ? 0.25 : 1
      for (let row = 1; row <= last; row++) {
        this.paintRejected(context, chain, row, Math.min(row, head), dim, colours)
      }
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
