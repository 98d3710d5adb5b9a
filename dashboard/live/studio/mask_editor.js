// A picture whose hidden part is drawn with the pointer, or with arrows and the space bar.

import { chip, make } from "../parts/dom.js"
import { imageOf } from "../pictures/drawing/images.js"
import { Mask } from "./mask.js"

const SIDE = 320
/** Steps to the right and down of a key. */
export const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }
const HELP = "Draw what is to be hidden. By keyboard: arrows move the brush, space hides or shows."

export class MaskEditor {
  /** `onDraw(word)`: once a stroke has ended. */
  constructor(word, onDraw) {
    Object.assign(this, { word, onDraw, size: 2, erases: false, cursor: null })
    this.canvas = make("canvas.bl-mask", { tabIndex: 0, role: "application", "aria-label": HELP })
    this.said = make("span.bl-muted", { role: "status" })
    this.brush = make("input", { type: "range", min: 1, max: 8, value: this.size })
    this.brush.setAttribute("aria-label", "Brush size in pixels")
    this.brush.oninput = () => {
      this.size = Number(this.brush.value)
      this.draw()
    }
    const button = (name, act) => {
      const element = make("button.bl-button", { type: "button" }, name)
      element.onclick = () => {
        act()
        this.end()
      }
      return element
    }
    this.element = make(
      "div.bl-mask-editor",
      {},
      this.canvas,
      make(
        "div.bl-chips",
        {},
        make("label.bl-row", {}, make("span.bl-muted", {}, "brush"), this.brush),
        chip("erase", "transparent", false, (on) => (this.erases = on)),
        button("Clear", () => this.mask.clear()),
        button("Invert", () => this.mask.invert()),
        button("Undo", () => this.mask.undo()),
      ),
      this.said,
    )
    this.listen()
  }

  /** Draw over image `row` of a frame; the mask stays where images are of one size. */
  show(frame, row, colours) {
    const [, height, width] = frame.arrays.pixels.shape
    if (this.mask?.width !== width || this.mask?.height !== height) {
      this.mask = new Mask(width, height, this.word)
      this.cursor = [width >> 1, height >> 1]
    }
    Object.assign(this, { image: imageOf(frame, row), colours })
    this.draw()
  }

  listen() {
    const { canvas } = this
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId)
      event.preventDefault()
      canvas.focus()
      this.mask.remember()
      this.last = this.cursor = this.at(event)
      this.stroke(this.cursor)
    }
    canvas.onpointermove = (event) => {
      this.cursor = this.at(event)
      if (this.last) this.stroke(this.cursor)
      else this.draw()
    }
    const end = () => {
      if (!this.last) return
      this.last = null
      this.end()
    }
    Object.assign(canvas, { onpointerup: end, onpointercancel: end })
    canvas.onkeydown = (event) => this.press(event)
  }

  press(event) {
    const move = MOVES[event.key]
    if (move) {
      const clamp = (value, most) => Math.min(Math.max(value, 0), most - 1)
      const [column, row] = this.cursor
      this.cursor = [
        clamp(column + move[0], this.mask.width),
        clamp(row + move[1], this.mask.height),
      ]
      this.draw()
    } else if (event.key === " ") {
      const [column, row] = this.cursor
      this.mask.remember()
      this.mask.dab(column, row, this.size, !this.mask.hidden[row * this.mask.width + column])
      this.end()
    } else return
    event.preventDefault()
    event.stopPropagation()
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect()
    return [
      Math.floor(((event.clientX - box.left) / box.width) * this.mask.width),
      Math.floor(((event.clientY - box.top) / box.height) * this.mask.height),
    ]
  }

  stroke(to) {
    this.mask.stroke(this.last, to, this.size, !this.erases)
    this.last = to
    this.draw()
  }

  end() {
    this.draw()
    this.word = this.mask.word()
    this.onDraw(this.word)
  }

  draw() {
    const { canvas, mask, image, colours } = this
    const scale = Math.max(1, Math.floor(SIDE / Math.max(mask.width, mask.height)))
    Object.assign(canvas, { width: mask.width * scale, height: mask.height * scale })
    const context = canvas.getContext("2d")
    context.imageSmoothingEnabled = false
    context.drawImage(image, 0, 0, canvas.width, canvas.height)
    context.fillStyle = hatch(context, colours)
    mask.hidden.forEach((value, at) => {
      const [column, row] = [at % mask.width, Math.floor(at / mask.width)]
      if (value) context.fillRect(column * scale, row * scale, scale, scale)
    })
    this.outline(context, scale)
    const [column, row] = this.cursor
    context.strokeStyle = colours.accent
    context.lineWidth = 2
    context.beginPath()
    const middle = this.size % 2 ? 0.5 : 0
    const centre = [(column + middle) * scale, (row + middle) * scale]
    context.arc(...centre, Math.max((this.size * scale) / 2, 3), 0, 2 * Math.PI)
    context.stroke()
    const num = mask.hidden.length
    this.said.textContent = `${num - mask.count} of ${num} pixels known`
  }

  /** The edge of what is hidden, in the colour of what can be acted on. */
  outline(context, scale) {
    const { mask, colours } = this
    const isHidden = (column, row) =>
      column >= 0 && column < mask.width && row >= 0 && row < mask.height
        ? mask.hidden[row * mask.width + column]
        : 0
    context.strokeStyle = colours.accent
    context.lineWidth = 2
    context.beginPath()
    for (let row = 0; row <= mask.height; row++) {
      for (let column = 0; column <= mask.width; column++) {
        const [x, y] = [column * scale, row * scale]
        if (isHidden(column, row) !== isHidden(column - 1, row)) {
          context.moveTo(x, y)
          context.lineTo(x, y + scale)
        }
        if (isHidden(column, row) !== isHidden(column, row - 1)) {
          context.moveTo(x, y)
          context.lineTo(x + scale, y)
        }
      }
    }
    context.stroke()
  }
}

/** Diagonal lines on paper: what is not known. */
function hatch(context, colours) {
  const tile = make("canvas", { width: 6, height: 6 })
  const brush = tile.getContext("2d")
  brush.fillStyle = colours.surface
  brush.fillRect(0, 0, 6, 6)
  brush.strokeStyle = colours.line2
  brush.beginPath()
  for (const shift of [-6, 0, 6]) {
    brush.moveTo(shift, 6)
    brush.lineTo(shift + 6, 0)
  }
  brush.stroke()
  return context.createPattern(tile, "repeat")
}
