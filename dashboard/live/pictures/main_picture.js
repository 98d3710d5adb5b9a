// The picture of a run: the landscape with its layers, or grids of images.

import { coloursOf } from "../parts/colours.js"
import { chip, drawn, make, Painter, segments } from "../parts/dom.js"
import { canvasWays } from "../parts/export.js"
import { csvOf } from "../stream/frame_csv.js"
import { cellAt, drawGrid, gridOf, imageOf, paintGrid } from "./images.js"
import { Landscape } from "./landscape.js"
import { figure } from "../parts/formatting.js"

/** The landscape of a model of points in the plane. */
export class LandscapePicture {
  constructor(slot) {
    this.slot = slot
    const colours = coloursOf(slot)
    const view = segments(
      { density: "density", energy: "energy" },
      "density",
      (chosen) => this.landscape.set({ view: chosen }),
      "What the landscape shows",
    )
    this.bar = make("i")
    const scale = make("span.bl-scale", {}, "unlikely", this.bar, "likely")
    this.recolour(colours)
    const picture = make("div")
    const ways = canvasWays(slot, () => `landscape-step-${this.step}`, {
      size: () => [this.landscape.width, this.landscape.height],
      draw: (context) => this.landscape.render(context, performance.now()),
      csv: () => csvOf(this.landscape.drawnField),
    })
    slot.append(make("header", {}, view, scale, ways), picture)
    this.landscape = new Landscape(picture, { onPin: (chain) => this.pin(chain) })
    const switched = (name) => (on) => {
      this.landscape.layers[name] = on
      this.landscape.set({})
    }
    this.chips = {
      data: chip("data", colours.data, true, switched("data")),
      chains: chip("chains", colours.chains, true, switched("chains")),
      trails: chip("trails", colours.chains, true, switched("trails")),
      samples: chip("long-run samples", colours.samples, false, switched("samples")),
      truth: chip("true density", colours.accent, false, switched("truth")),
      exact: chip("exact states only", colours.muted, this.landscape.exact, (on) =>
        this.landscape.set({ exact: on }),
      ),
    }
    this.chips.exact.title = "Without what lies between the states that were sent"
    this.words = make("div.bl-muted")
    this.trace = make("canvas.bl-canvas", { role: "img" })
    this.pinned = make("div.bl-pinned", { hidden: true }, this.words)
    slot.append(make("div.bl-chips", {}, ...Object.values(this.chips)), this.pinned)
  }

  recolour(colours) {
    this.bar.style.background = `linear-gradient(90deg, ${colours.sequential.join(",")})`
    this.landscape?.set({})
  }

  get step() {
    return this.landscape.drawnField?.header.last[0] ?? 0
  }

  show(frames) {
    const walk = frames["chains/walk"]
    this.walk = walk
    this.landscape.show({
      field: frames["landscape/model"],
      truth: frames["landscape/truth"],
      data: frames["samples/data"],
      samples: frames["samples/long_run"],
      walk,
    })
    const { chips } = this
    chips.truth.hidden = !frames["landscape/truth"]
    chips.samples.hidden = !frames["samples/long_run"]
    if (walk) {
      const [rows, chains] = walk.arrays.positions.shape
      const kind = walk.header.meta.role === "train_time" ? "train-time" : "long-run"
      chips.chains.word(`${chains} ${kind} chains`)
      chips.trails.word(`trails, ${rows - 1} steps`)
    }
    if (this.landscape.pinned !== null) this.pin(this.landscape.pinned)
  }

  pin(chain) {
    const energies = this.walk?.arrays.energies
    this.pinned.hidden = chain === null || !energies
    if (this.pinned.hidden) return
    const [rows, chains] = energies.shape
    const at = (row) => energies.data[row * chains + chain]
    this.words.textContent =
      `Chain ${chain + 1}: energy ${figure(at(0))} → ${figure(at(rows - 1))} nats over its last ` +
      `${rows - 1} steps. Click beside it to let go.`
    this.pinned.append(this.trace)
    this.trace.setAttribute("aria-label", this.words.textContent)
    drawTrace(
      this.trace,
      Array.from({ length: rows }, (_, row) => at(row)),
      coloursOf(this.slot),
    )
  }

  close() {
    this.landscape.close()
  }
}

/** A chain's energy over its last steps, lowest and highest written at the left. */
function drawTrace(canvas, energies, colours) {
  const ratio = window.devicePixelRatio || 1
  const [width, height, left, edge] = [canvas.parentElement.clientWidth, 72, 44, 8]
  canvas.width = width * ratio
  canvas.height = height * ratio
  canvas.style.cssText = `width:${width}px;height:${height}px`
  const context = canvas.getContext("2d")
  context.setTransform(ratio, 0, 0, ratio, 0, 0)
  const finite = energies.filter(Number.isFinite)
  if (!finite.length) return
  const [low, high] = [Math.min(...finite), Math.max(...finite)]
  const x = (row) => left + (row / Math.max(energies.length - 1, 1)) * (width - left - edge)
  const y = (energy) => height - edge - ((energy - low) / (high - low || 1)) * (height - 2 * edge)
  context.fillStyle = colours.muted
  context.font = "12px 'Source Sans', 'Source Sans Pro', sans-serif"
  context.textBaseline = "middle"
  context.textAlign = "right"
  for (const energy of new Set([low, high])) context.fillText(figure(energy), left - 8, y(energy))
  context.strokeStyle = colours.chains
  context.lineWidth = 1.6
  context.beginPath()
  energies.forEach((energy, row) => Number.isFinite(energy) && context.lineTo(x(row), y(energy)))
  context.stroke()
}

const GRIDS = {
  "samples/data": "Data",
  "samples/train_time": "Train-time chains",
  "samples/long_run": "Long-run samples",
}

/** True where the samples of a run are images. */
export function hasGrids(frames) {
  return Object.keys(GRIDS).some((path) => frames[path]?.header.kind === "images")
}

/** Grids of equal size: what is given, what training sees, what the energy itself says. */
export class ImageGrids {
  constructor(slot) {
    this.slot = slot
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
          csv: () => csvOf(this.frames[path]),
        },
      )
      const head = make("div.bl-row", {}, make("h4", {}, title), ways)
      const part = { canvas, about, ways, box: make("div.bl-grid", {}, head, canvas, about) }
      canvas.onclick = (event) => {
        const cell = part.grid ? cellAt(canvas, part.grid, event) : null
        this.pinned = cell === this.pinned ? null : cell
        this.show(this.frames)
      }
      canvas.onmousemove = (event) => this.hover(part, path, event)
      this.parts[path] = part
      this.row.append(part.box)
    }
    this.chain = make("div.bl-row", { hidden: true })
    slot.append(this.row, this.chain)
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
    this.chain.hidden = this.pinned === null
    if (this.pinned === null) return
    const images = []
    for (const path of ["samples/train_time", "samples/long_run"]) {
      const frame = this.frames[path]
      if (!frame || this.pinned >= frame.arrays.pixels.shape[0]) continue
      const image = imageOf(frame, this.pinned)
      image.style.cssText = "width:96px;height:96px;image-rendering:pixelated;border-radius:4px"
      const energy = frame.arrays.energies?.data[this.pinned]
      images.push(image, make("span.bl-muted", {}, `${GRIDS[path]}, energy ${figure(energy)} nats`))
    }
    this.chain.replaceChildren(make("strong", {}, `Cell ${this.pinned + 1}`), ...images)
  }

  close() {
    this.sizes.disconnect()
    this.painter.close()
  }
}
