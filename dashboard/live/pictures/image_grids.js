// Grids of the images of a run, and the film of one chain from noise to now.

import { coloursOf } from "../parts/colours.js"
import { drawn, make, Painter } from "../parts/dom.js"
import { canvasWays } from "../parts/figures/export.js"
import { runName } from "../parts/figures/figure.js"
import { count, figure } from "../parts/formatting.js"
import { csvOf } from "../stream/frame_csv.js"
import { cellAt, drawGrid, gridOf, imageOf, paintGrid } from "./drawing/images.js"

const MOST_FILMED = 12
const GRIDS = {
  "samples/data": "Data",
  "samples/train_time": "Train-time chains",
  "samples/long_run": "Long-run samples",
}

const CHAINS = ["samples/train_time", "samples/long_run"]

/** True where the samples of a run are images. */
export function hasGrids(frames) {
  return Object.keys(GRIDS).some((path) => frames[path]?.header.kind === "images")
}

/** Grids of equal size: what is given, what training sees, what the energy itself says. */
export class ImageGrids {
  /** `earlier(paths, most)` fetches frames of earlier moments, oldest first. */
  constructor(slot, earlier) {
    Object.assign(this, { slot, earlier })
    this.pinned = null
    this.parts = {}
    this.row = make("div.bl-grids")
    for (const [path, title] of Object.entries(GRIDS)) {
      const canvas = make("canvas", { role: "img", "aria-label": title })
      const about = make("span.bl-muted")
      const ways = canvasWays(
        slot,
        () => `${path.replace("/", "-")}-step-${this.frames[path].header.last[0]}`,
        {
          size: () => gridOf(this.frames[path], { width: part.canvas.clientWidth || 300 }).size,
          draw: (context, width) =>
            paintGrid(context, this.frames[path], gridOf(this.frames[path], { width })),
          words: () => ({
            title,
            about:
              `${runName()}, step ${this.frames[path].header.last[0]}, ` +
              `${this.frames[path].arrays.pixels.shape[0]} images`,
          }),
          csv: () => csvOf(this.frames[path]),
        },
      )
      const head = make("div.bl-row", {}, make("h2", {}, title), ways)
      const part = { canvas, about, ways, box: make("div.bl-grid", {}, head, canvas, about) }
      canvas.onclick = (event) => {
        const cell = part.grid ? cellAt(canvas, part.grid, event) : null
        this.pinned = cell === this.pinned ? null : cell
        this.show(this.frames)
        this.showFilm()
      }
      canvas.onmousemove = (event) => this.hover(part, path, event)
      this.parts[path] = part
      this.row.append(part.box)
    }
    this.chain = make("div.bl-row", { hidden: true })
    this.film = make("div.bl-row.bl-chain-film", { hidden: true })
    const hint = "Click an image to follow its chain from noise to now."
    this.hint = make("div.bl-muted", { textContent: hint })
    slot.append(this.row, this.hint, this.chain, this.film)
    this.painter = new Painter(this.row, () => this.paint())
    this.sizes = new ResizeObserver(() => this.painter.ask())
    this.sizes.observe(slot)
  }

  recolour() {
    this.painter.ask()
  }

  hover(part, path, event) {
    const cell = part.grid ? cellAt(part.canvas, part.grid, event) : null
    const energies = this.frames[path]?.arrays.energies
    part.canvas.title =
      cell === null ? "" : `${cell + 1}${energies ? `, energy ${figure(energies.data[cell])}` : ""}`
  }

  show(frames) {
    this.frames = frames
    this.painter.ask()
  }

  paint() {
    const { frames } = this
    const width = this.parts["samples/data"].box.clientWidth
    if (!width || !frames) return
    const accent = coloursOf(this.slot).accent
    for (const [path, part] of Object.entries(this.parts)) {
      const frame = frames[path]
      // Its place is kept: not every method draws all three, and what comes late moves nothing.
      part.box.style.visibility = frame ? "visible" : "hidden"
      if (!frame) continue
      part.about.textContent = `step ${frame.header.last[0]}, ${frame.arrays.pixels.shape[0]} images`
      const pinned = path === "samples/data" ? null : this.pinned
      part.grid = drawGrid(part.canvas, frame, { width, pinned, accent })
      if (!frame.isDrawn) drawn(part.canvas, frame.header)
      frame.isDrawn = true
    }
    this.showChain()
  }

  /** The pinned chain, large, as training left it and as it ran on. */
  showChain() {
    this.hint.hidden = this.pinned !== null || !CHAINS.some((path) => this.frames[path])
    this.chain.hidden = this.pinned === null
    if (this.pinned === null) return
    const images = []
    for (const path of CHAINS) {
      const frame = this.frames[path]
      if (!frame || this.pinned >= frame.arrays.pixels.shape[0]) continue
      const image = imageOf(frame, this.pinned)
      image.style.cssText = "width:96px;height:96px;image-rendering:pixelated;border-radius:4px"
      const energy = frame.arrays.energies?.data[this.pinned]
      images.push(image, make("span.bl-muted", {}, `${GRIDS[path]}, energy ${figure(energy)} nats`))
    }
    this.chain.replaceChildren(make("strong", {}, `Cell ${this.pinned + 1}`), ...images)
  }

  /** The pinned chain at earlier moments: the cell stays the same chain for ever. */
  async showFilm() {
    const cell = this.pinned
    this.film.hidden = cell === null
    if (cell === null || !this.earlier) return
    this.film.replaceChildren(make("span.bl-muted", {}, "Fetching earlier moments…"))
    const frames = await this.earlier(["samples/train_time"], MOST_FILMED)
    if (cell !== this.pinned) return
    const cells = frames
      .filter((frame) => cell < frame.arrays.pixels.shape[0])
      .map((frame) => {
        const image = imageOf(frame, cell)
        const energy = frame.arrays.energies?.data[cell]
        const words = [`step ${count(frame.header.last[0])}`]
        if (energy !== undefined) words.push(`${figure(energy)} nats`)
        return make("figure.bl-still", {}, image, make("figcaption", {}, words.join(", ")))
      })
    const empty = make("span.bl-muted", {}, "No earlier moment of train-time chains was kept.")
    this.film.replaceChildren(...(cells.length ? cells : [empty]))
  }

  close() {
    this.sizes.disconnect()
    this.painter.close()
  }
}
