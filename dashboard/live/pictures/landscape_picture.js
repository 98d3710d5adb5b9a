// The landscape of a run with its layers, its scale, and the energy of a chosen chain.

import { colourAt, coloursOf } from "../parts/colours.js"
import { chip, make } from "../parts/dom.js"
import { canvasWays } from "../parts/figures/export.js"
import { runName } from "../parts/figures/figure.js"
import { figure } from "../parts/formatting.js"
import { layerChips, viewSegments } from "./drawing/layers.js"
import { csvOf } from "../stream/frame_csv.js"
import { Landscape } from "./drawing/landscape.js"

const VIEWS = { density: "density", energy: "energy" }
const HINT = "Click a chain's head to see its energy."

/** The landscape of a model of points in the plane. */
export class LandscapePicture {
  constructor(slot) {
    this.slot = slot
    const colours = coloursOf(slot)
    const { row, view } = viewSegments(VIEWS, "What the landscape shows", (chosen) =>
      this.landscape.set({ view: chosen }),
    )
    this.bar = make("i")
    const scale = make("span.bl-scale", {}, "unlikely", this.bar, "likely")
    this.recolour(colours)
    const picture = make("div")
    const ways = canvasWays(slot, () => `landscape-step-${this.step}`, {
      size: () => [this.landscape.width, this.landscape.height],
      draw: (context) => this.landscape.render(context, performance.now()),
      words: () => this.about(),
      csv: () => csvOf(this.landscape.drawnField),
    })
    slot.append(make("header", {}, row, scale, ways), picture)
    this.landscape = new Landscape(picture, { onPin: (chain) => this.pin(chain) })
    this.landscape.set({ view })
    const options = {
      data: { word: "data", colour: colours.data, on: true },
      chains: { word: "chains", colour: colours.chains, on: true },
      trails: { word: "trails", colour: colours.chains, on: true },
      samples: { word: "long-run samples", colour: colours.samples, on: false },
      truth: { word: "true density", colour: colours.accent, on: false },
    }
    this.chips = {
      ...layerChips(options, this.landscape.layers, () => this.landscape.set({})),
      exact: chip("exact states only", colours.muted, this.landscape.exact, (on) =>
        this.landscape.set({ exact: on }),
      ),
    }
    this.chips.exact.title = "Without what lies between the states that were sent"
    this.chips.chains.title = HINT
    this.words = make("div.bl-muted", { textContent: HINT })
    this.trace = make("canvas.bl-canvas", { role: "img" })
    this.pinned = make("div.bl-pinned", {}, this.words)
    slot.append(make("div.bl-chips", {}, ...Object.values(this.chips)), this.pinned)
  }

  recolour(colours) {
    this.bar.style.background = `linear-gradient(90deg, ${colours.sequential.join(",")})`
    this.landscape?.set({})
  }

  /** What stands around the picture as a figure. */
  about() {
    const { landscape } = this
    const colours = coloursOf(this.slot)
    const has = { data: "data", chains: "walk", samples: "samples" }
    const legend = Object.keys(has)
      .filter((layer) => landscape.layers[layer] && landscape.frames[has[layer]])
      .map((layer) => ({ name: this.chips[layer].textContent, colour: colours[layer] }))
    const isTruth = landscape.layers.truth && landscape.frames.truth
    const [title, low, high] =
      landscape.view === "density"
        ? ["Density, root of its share of the peak", "0", "1"]
        : ["Energy above its lowest", "10 nats or more", "0"]
    return {
      title: isTruth ? `True ${title[0].toLowerCase()}${title.slice(1)}` : title,
      about: `${runName()}, step ${this.step}`,
      legend,
      scale: { low, high, colourAt: (share) => colourAt(colours.sequential, share) },
    }
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
    this.pin(this.landscape.pinned)
  }

  pin(chain) {
    const energies = this.walk?.arrays.energies
    if (chain === null || !energies) {
      this.trace.remove()
      this.words.textContent = energies ? HINT : ""
      return
    }
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
