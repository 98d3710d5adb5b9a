// Held-out images, what an attack adds to them and what comes of it: each with the class that it is
// called and its energy.

import { coloursOf, ramp } from "../../parts/colours.js"
import { make, segments } from "../../parts/dom.js"
import { exporter, save } from "../../parts/figures/export.js"
import { figure } from "../../parts/formatting.js"
import { csvOf } from "../../stream/frame_csv.js"
import { imageOf } from "./images.js"

/** Paths that this picture is of. */
export const ATTACKED = [
  "attack/natural",
  "attack/attacked",
  "attack/called",
  "attack/attacked_other",
  "attack/called_other",
  "attack/norms",
]

/** What was added to each pixel of a frame's images to make those of another, −1 to 1 of the largest
 * change of any, averaged over colours; and that change as a share of the range. */
export function changes(natural, attacked) {
  const { shape, data } = natural.arrays.pixels
  const channels = shape[3] ?? 1
  const added = new Float32Array(data.length / channels)
  for (let i = 0; i < data.length; i++) {
    added[Math.floor(i / channels)] += (attacked.arrays.pixels.data[i] - data[i]) / channels
  }
  const most = added.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0)
  return { added: added.map((value) => value / (most || 1)), share: most / 255 }
}

export class AttackedImages {
  constructor() {
    this.about = make("span.bl-muted")
    this.body = make("div.bl-attacked")
    this.norm = "own"
    this.norms = make("span")
    const csv = () => save("attack-called.csv", csvOf(this.chosen[2]), "text/csv")
    const title = make("h2", {}, "Under attack")
    const head = make("header", {}, title, this.about, this.norms, exporter({ csv }))
    this.slot = make("section.bl-panel", { hidden: true }, head, this.body)
  }

  /** Draw the frames of a moment, if they have changed; none leave no room. */
  show(frames) {
    this.frames = ATTACKED.map((path) => frames[path])
    this.slot.hidden = this.frames.slice(0, 3).some((frame) => !frame)
    if (this.slot.hidden) return
    const key = this.frames.map((frame) => frame?.header.seq).join()
    if (key === this.key) return
    this.key = key
    this.draw()
  }

  recolour() {
    if (!this.slot.hidden) this.draw()
  }

  /** The frames of the norm that was chosen: natural images, attacked ones, what they are called. */
  get chosen() {
    const [natural, attacked, called, ...other] = this.frames
    return this.norm === "other" && other[0] && other[1]
      ? [natural, other[0], other[1]]
      : [natural, attacked, called]
  }

  /** A switch between the norms, where the run was attacked in both. */
  drawNorms() {
    const rows = this.frames[5]?.header.meta.rows ?? []
    const [own, other] = rows.map(([name, radius]) => `${name} ${figure(radius)}`)
    const words = other && this.frames[3] && this.frames[4] ? { own, other } : {}
    const key = Object.values(words).join()
    if (key === this.norms.dataset.words) return
    this.norms.dataset.words = key
    const choose = (norm) => {
      this.norm = norm
      this.draw()
    }
    this.norms.replaceChildren(key ? segments(words, this.norm, choose, "Norm of the attack") : "")
  }

  draw() {
    this.drawNorms()
    const [natural, attacked, called] = this.chosen
    const { added, share } = changes(natural, attacked)
    const table = ramp(coloursOf(this.slot).diverging)
    const { low, high } = natural.header.meta
    const most = figure(Number((share * (high - low)).toPrecision(2)))
    const { rows } = called.header.meta
    const right = rows.filter(([label, , now]) => label === now).length
    this.about.textContent =
      `one of each class, what was added (blue −${most} to orange ${most}), what came of it · ` +
      `what each is called, its energy in nats · ${right} of ${rows.length} stand`
    this.body.replaceChildren(
      ...rows.map((row, index) =>
        make(
          "figure",
          { title: `Class ${row[0]}` },
          imageOf(natural, index),
          read(row[0], row[1], row[3]),
          changeOf(natural, added, index, table),
          imageOf(attacked, index),
          read(row[0], row[2], row[4]),
        ),
      ),
    )
  }
}

/** What an image of class `label` is called, right or wrong, and its energy. */
function read(label, called, energy) {
  const isRight = label === called
  const sign = make(isRight ? "i.right" : "i.wrong", {}, isRight ? "✓" : "✗")
  sign.setAttribute("role", "img")
  sign.setAttribute("aria-label", isRight ? "right," : "wrong,")
  const value = make("span", {}, figure(Number(energy.toPrecision(3))))
  return make("figcaption", {}, make("span", {}, sign, make("b", {}, ` ${called}`)), value)
}

function changeOf(natural, added, index, table) {
  const [, height, width] = natural.arrays.pixels.shape
  const canvas = make("canvas", { width, height })
  const context = canvas.getContext("2d")
  const image = context.createImageData(width, height)
  for (let i = 0; i < width * height; i++) {
    const level = Math.round((added[index * width * height + i] + 1) * 127.5)
    image.data.set([...table.subarray(3 * level, 3 * level + 3), 255], 4 * i)
  }
  context.putImageData(image, 0, 0)
  return canvas
}
