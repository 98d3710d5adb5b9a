// Pictures of cells: read one after the other while they are in sight, drawn small, and let go.

import { faded } from "../../parts/colours.js"
import { make } from "../../parts/dom.js"
import { drawGrid } from "../../pictures/drawing/images.js"
import {
  beyondOf,
  FONT,
  paintBeyond,
  placing,
  rangesOf,
  sized,
} from "../../pictures/drawing/plane.js"
import { unpackAll } from "../../stream/frames.js"

const MOST_AT_ONCE = 4
const MOST_IMAGES = 9
const ROOM = 0.15
/** Smaller cells have no room for how many samples lie beyond them. */
const LEAST_COUNTED = 100

/** The frames of a sample set, {samples, held_out, nearest}; null for one without pictures. */
export async function readFrames(id, token) {
  const query = new URLSearchParams({ id, part: "pictures", token })
  const response = await fetch(`live/sample_set?${query}`)
  if (!response.ok) throw new Error(await response.text())
  const frames = unpackAll(await response.arrayBuffer()).filter(Boolean)
  return Object.fromEntries(frames.map((frame) => [frame.header.path, frame]))
}

/** Draws samples on a canvas of `side` pixels; points in the ranges of the data. */
export function paintSmall(canvas, frame, ranges, side, colours) {
  if (frame.header.kind === "images") {
    const whole = make("canvas")
    drawGrid(whole, frame, { width: side, count: MOST_IMAGES })
    const context = sized(canvas, side, side)
    const scale = Math.min(side / whole.width, side / whole.height)
    const [width, height] = [whole.width * scale, whole.height * scale]
    context.drawImage(whole, (side - width) / 2, (side - height) / 2, width, height)
    return
  }
  const context = sized(canvas, side, side)
  const box = { left: 0, top: 0, width: side, height: side }
  const place = placing(box, ranges)
  const { shape, data } = frame.arrays.positions
  const [num, dim] = shape
  context.fillStyle = faded(colours.samples, 0.85)
  const radius = side < 60 ? 1 : 1.5
  for (let row = 0; row < num; row++) {
    const [x, y] = place(data[row * dim], dim > 1 ? data[row * dim + 1] : 0)
    context.fillRect(x - radius, y - radius, 2 * radius, 2 * radius)
  }
  if (side < LEAST_COUNTED) return
  context.font = FONT
  paintBeyond(context, box, beyondOf(frame.arrays.positions, ranges), colours.text)
}

export class CellPictures {
  /** `ready(index, frame, ranges)`: the picture of a cell is here. */
  constructor(ready) {
    this.ready = ready
    this.wanted = []
    this.num = 0
    this.known = new Set()
  }

  /** Forget which are drawn: all that are in sight are read again. */
  reset() {
    this.known.clear()
  }

  /** `cells`: [index, id] of the drawn sets in sight; what has left it is not read any more. */
  want(cells, token) {
    this.token = token
    this.wanted = cells.filter(([index]) => !this.known.has(index))
    this.next()
  }

  next() {
    while (this.wanted.length && this.num < MOST_AT_ONCE && !this.closed) {
      const [index, id] = this.wanted.shift()
      this.known.add(index)
      this.num += 1
      this.read(index, id).finally(() => {
        this.num -= 1
        this.next()
      })
    }
  }

  async read(index, id) {
    try {
      const frames = await readFrames(id, this.token)
      if (this.closed) return
      const { samples, held_out: data } = frames
      if (samples?.header.kind === "points" && !this.ranges) {
        this.ranges = rangesOf((data ?? samples).arrays.positions, { room: ROOM })
      }
      if (samples) this.ready(index, samples, this.ranges)
    } catch {
      // deleted meanwhile, or the line was lost: read again when next in sight
      this.known.delete(index)
    }
  }

  close() {
    this.closed = true
    this.wanted = []
  }
}
