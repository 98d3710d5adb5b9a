// The picture of a table: its columns in pairs, or the plane of its two longest principal axes.

import { colourAt, coloursOf, faded } from "../parts/colours.js"
import { drawn, fromAddress, keepInAddress, make, Painter, segments } from "../parts/dom.js"
import { figure } from "../parts/formatting.js"
import { canvasWays } from "../parts/figures/export.js"
import { runName } from "../parts/figures/figure.js"
import { layerChips, viewSegments } from "./drawing/layers.js"
import { csvOf } from "../stream/frame_csv.js"
import { contours, paintField } from "./drawing/field.js"
import { classesOf } from "./drawing/points.js"
import { energyRange, tintOf, TINTS, tintsOf } from "./drawing/tints.js"
import { PairPlot } from "./pair_plot.js"
import { FONT, paintTicks, placing, rangesOf, strokeSegments } from "./drawing/plane.js"

const VIEWS = { pairs: "pairs", principal: "principal axes", slice: "slice of the energy" }
const MARGIN = { left: 42, right: 6, top: 22, bottom: 44 }
const NUMBERS = { data: "data", chains: "chains", samples: "long-run samples" }

/** The frames of a table by layer: {data, chains, samples}; null where there is no table. */
export function tableFrames(frames) {
  const data = frames["samples/data"]
  if (data?.header.kind !== "points" || frames["landscape/model"]) return null
  return {
    data,
    chains: frames["chains/positions"] ?? frames["samples/train_time"],
    samples: frames["samples/long_run"],
  }
}

const gradientOf = (stops) => `linear-gradient(90deg, ${stops.join(",")})`

function barOf(stops) {
  const bar = make("i")
  bar.style.background = gradientOf(stops)
  return bar
}

export class TablePicture {
  constructor(slot) {
    this.slot = slot
    const { row, view } = viewSegments(VIEWS, "How the columns are drawn", (chosen) => {
      this.view = chosen
      this.draw()
    })
    this.views = row
    this.view = view
    const asked = fromAddress("colour")
    this.tint = asked in TINTS ? asked : "layer"
    this.tints = segments(TINTS, this.tint, (chosen) => this.colourBy(chosen), "Dots coloured by")
    this.tinting = make(
      "div.bl-row",
      { hidden: true },
      make("span.bl-muted", {}, "coloured by"),
      this.tints,
      (this.legend = make("span.bl-row")),
    )
    this.bar = make("i")
    this.ends = [make("span"), make("span")]
    this.scale = make("span.bl-scale", {}, this.ends[0], this.bar, this.ends[1])
    const ways = canvasWays(slot, () => `${this.view}-step-${this.step}`, {
      size: () => this.size(),
      draw: (context) => this.render(context),
      words: () => this.words(),
      csv: () => csvOf(this.layersNow().samples ?? this.layersNow().chains ?? this.frames.data),
    })
    this.canvas = make("canvas.bl-canvas", { role: "img" })
    this.about = make("div.bl-muted")
    this.layers = {}
    const colours = coloursOf(slot)
    const options = Object.fromEntries(
      Object.entries(NUMBERS).map(([layer, word]) => [
        layer,
        { word, colour: colours[layer], on: true },
      ]),
    )
    this.chips = layerChips(options, this.layers, () => this.draw())
    slot.append(
      make("header", {}, row, this.scale, ways),
      make("div.bl-table-picture", {}, this.canvas),
      this.tinting,
      make("div.bl-chips", {}, ...Object.values(this.chips)),
      this.about,
    )
    this.pairs = new PairPlot()
    this.painter = new Painter(this.canvas, () => this.paint())
    this.sizes = new ResizeObserver(() => this.draw())
    this.sizes.observe(slot)
  }

  close() {
    this.sizes.disconnect()
    this.painter.close()
  }

  recolour() {
    this.draw()
  }

  get step() {
    const { samples, chains, data } = this.frames
    return Math.max(...[samples, chains, data].map((frame) => frame?.header.last[0] ?? 0))
  }

  show(frames) {
    this.frames = tableFrames(frames)
    this.plane = {
      data: frames["principal/data"],
      chains: frames["principal/train_time"],
      samples: frames["principal/long_run"],
      field: frames["principal/energy"],
    }
    this.pairs.show(this.frames)
    this.views.disable("principal", this.plane.data ? "" : "There are no principal axes of these.")
    this.views.disable("slice", this.plane.field ? "" : "No slice of an energy was taken.")
    this.describe()
    this.colourScale(coloursOf(this.slot))
    this.fit()
    this.painter.ask()
  }

  /** Give the canvas its size, at once: what stands below it is not to jump when it is painted. */
  fit() {
    const ratio = window.devicePixelRatio || 1
    const [width, height] = this.size()
    const { canvas } = this
    const inside = [Math.round(width * ratio), Math.round(height * ratio)]
    if (canvas.width !== inside[0] || canvas.height !== inside[1]) {
      Object.assign(canvas, { width: inside[0], height: inside[1] })
      canvas.style.width = `${width}px`
      canvas.style.height = `${height}px`
    }
    return { ratio, width }
  }

  /** Draw everything anew. */
  draw() {
    this.base = null
    this.painter.ask()
  }

  /** The view that can be drawn now. */
  get drawnView() {
    const { data, field } = this.plane
    if (this.view === "slice" && field) return "slice"
    return this.view !== "pairs" && data ? "principal" : "pairs"
  }

  /** What the dots are coloured by, of what there is. */
  get drawnTint() {
    const isPlane = this.drawnView === "principal"
    return isPlane && tintsOf(this.dotted()).includes(this.tint) ? this.tint : "layer"
  }

  colourBy(tint) {
    this.tint = tint
    keepInAddress("colour", tint === "layer" ? null : tint)
    this.draw()
  }

  /** The frames of the plane that are drawn as dots. */
  dotted() {
    const { data, chains, samples } = this.plane
    return { data, chains, samples }
  }

  showTints(colours) {
    const known = tintsOf(this.dotted())
    this.tinting.hidden = this.drawnView !== "principal" || known.length < 2
    this.tints.disable("energy", known.includes("energy") ? "" : "No energy of them was taken.")
    this.tints.disable("class", known.includes("class") ? "" : "The data have no classes.")
    const classes = this.drawnTint === "class" ? classesOf(this.plane.data, colours) : []
    const words = classes.map(({ name, colour }) => {
      const word = make("span.bl-muted", {}, name)
      word.style.color = colour
      return word
    })
    if (this.drawnTint === "energy") {
      const { stops, low, high } = this.colours(colours)
      words.push(make("span.bl-scale", {}, low, barOf(stops), high))
    }
    this.legend.replaceChildren(...words)
  }

  layersNow() {
    return this.drawnView === "pairs" ? this.frames : this.plane
  }

  describe() {
    const layers = this.layersNow()
    for (const [layer, button] of Object.entries(this.chips)) {
      const frame = layers[layer]
      button.hidden = !frame
      if (frame) button.word(`${frame.arrays.positions.shape[0]} ${this.wordOf(layer, frame)}`)
    }
    const shown = this.pairs.columns.length
    const part = shown < this.pairs.num ? `${shown} of ${this.pairs.num} columns, those that ` : ""
    this.about.textContent = {
      pairs: `${part ? `${part}differ most. ` : ""}A correlation is coloured where it differs from the data's by more than chance.`,
      principal: "Places of each row along the two axes on which the data vary most.",
      slice:
        "The energy on the plane through the data's mean. It is no marginal: rows lie beside the plane, too.",
    }[this.drawnView]
  }

  wordOf(layer, frame) {
    if (layer !== "chains") return NUMBERS[layer]
    return frame.header.meta.role === "long_run" ? "chains from noise" : "train-time chains"
  }

  size() {
    const room = Math.max(this.slot.clientWidth, 200)
    if (this.drawnView === "pairs") return this.pairs.size(room)
    const side = Math.min(room, 560) - MARGIN.left - MARGIN.right
    return [side + MARGIN.left + MARGIN.right, side + MARGIN.top + MARGIN.bottom]
  }

  /** What stays while chains move is painted once and then copied. */
  paint() {
    if (!this.frames) return
    const { ratio, width } = this.fit()
    const { canvas } = this
    const colours = coloursOf(this.slot)
    const { data, chains, samples } = this.layersNow()
    const still = [data, samples, this.pairs.made, this.plane.field].map(
      (frame) => frame?.header.seq,
    )
    const key = [width, ratio, colours.bg, this.drawnView, this.drawnTint, ...still].join()
    if (!this.base || this.base.key !== key) {
      const base = make("canvas", { width: canvas.width, height: canvas.height })
      const inner = base.getContext("2d")
      inner.setTransform(ratio, 0, 0, ratio, 0, 0)
      this.renderBase(inner, colours)
      this.base = { key, canvas: base }
      this.colourScale(colours)
      this.describe()
      canvas.setAttribute("aria-label", this.sentence())
    }
    const context = canvas.getContext("2d")
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.clearRect(0, 0, canvas.width, canvas.height)
    context.drawImage(this.base.canvas, 0, 0)
    context.setTransform(ratio, 0, 0, ratio, 0, 0)
    this.renderChains(context, colours)
    for (const frame of [chains, samples]) {
      if (frame && !frame.isDrawn) drawn(canvas, frame.header)
      if (frame) frame.isDrawn = true
    }
  }

  render(context) {
    const colours = coloursOf(this.slot)
    this.renderBase(context, colours)
    this.renderChains(context, colours)
  }

  renderBase(context, colours) {
    if (this.drawnView === "pairs") this.pairs.renderBase(context, this.layers, colours)
    else this.renderPlane(context, colours)
  }

  renderChains(context, colours) {
    if (!this.layers.chains) return
    if (this.drawnView === "pairs") this.pairs.renderChains(context, colours)
    else this.dots(context, "chains", 2.4, colours)
  }

  // ------------------------------------------------------------------ the plane of principal axes

  get ranges() {
    const { field, data } = this.plane
    if (field) return [field.header.meta.x_range, field.header.meta.y_range]
    return rangesOf(data.arrays.positions, { isEqual: false })
  }

  get box() {
    const [width, height] = this.size()
    return {
      left: MARGIN.left,
      top: MARGIN.top,
      width: width - MARGIN.left - MARGIN.right,
      height: height - MARGIN.top - MARGIN.bottom,
    }
  }

  renderPlane(context, colours) {
    const { box, ranges } = this
    context.fillStyle = colours.surface
    context.fillRect(box.left, box.top, box.width, box.height)
    const { field, data } = this.plane
    if (this.drawnView === "slice") {
      context.imageSmoothingEnabled = true
      context.drawImage(paintField(field, colours), box.left, box.top, box.width, box.height)
      const [rows, columns] = field.arrays.values.shape
      strokeSegments(context, contours(field), box, [columns, rows], colours)
    }
    paintTicks(context, box, ranges, colours)
    const [x, y] = data.header.meta.axes
    context.fillStyle = colours.muted
    context.font = FONT
    context.textAlign = "right"
    context.textBaseline = "top"
    context.fillText(x, box.left + box.width, box.top + box.height + 24)
    context.textAlign = "left"
    context.fillText(y, 0, 2)
    if (this.layers.data) this.dots(context, "data", 1.5, colours)
    if (this.layers.samples) this.dots(context, "samples", 2.2, colours)
  }

  dots(context, layer, radius, colours) {
    const frame = this.plane[layer]
    if (!frame) return
    const { box } = this
    const place = placing(box, this.ranges)
    const { shape, data } = frame.arrays.positions
    const opacity = layer === "data" ? 0.55 : 0.85
    const tint = tintOf(frame, this.drawnTint, energyRange(this.dotted()), colours)
    context.beginPath()
    for (let row = 0; row < shape[0]; row++) {
      const [x, y] = place(data[2 * row], data[2 * row + 1])
      const isInside =
        x >= box.left && x <= box.left + box.width && y >= box.top && y <= box.top + box.height
      if (!isInside) continue
      if (tint) context.beginPath()
      context.moveTo(x + radius, y)
      context.arc(x, y, radius, 0, 2 * Math.PI)
      if (!tint) continue
      context.fillStyle = tint(row)
      context.fill()
    }
    if (tint) return
    // what has no energy, or no class, steps back
    const isApart = this.drawnTint !== "layer"
    context.fillStyle = isApart ? faded(colours.muted, 0.35) : faded(colours[layer], opacity)
    context.fill()
  }

  // ------------------------------------------------------------------ words about it

  sentence() {
    if (this.drawnView === "pairs") return this.pairs.sentence()
    return this.about.textContent
  }

  /** The colours that the drawn view uses, with words for their ends; null where it has none. */
  colours(colours) {
    if (this.drawnView === "principal") {
      if (this.drawnTint !== "energy") return null
      const [low, high] = energyRange(this.dotted()).map((value) => `${figure(value)} nats`)
      // the high energies are the unlikely ones: the ramp's low end
      const stops = colours.sequential
      return { stops, low: high, high: low, colourAt: (share) => colourAt(stops, share) }
    }
    const stops = this.drawnView === "pairs" ? colours.diverging : colours.sequential
    const [low, high] =
      this.drawnView === "pairs" ? ["samples less", "more correlated"] : ["unlikely", "likely"]
    return { stops, low, high, colourAt: (share) => colourAt(stops, share) }
  }

  colourScale(colours) {
    const scale = this.colours(colours)
    this.showTints(colours)
    const isAbove = scale && this.drawnView !== "principal"
    this.scale.style.visibility = isAbove ? "visible" : "hidden"
    if (!isAbove) return
    this.bar.style.background = gradientOf(scale.stops)
    this.ends.forEach((end, place) => (end.textContent = place ? scale.high : scale.low))
  }

  words() {
    const colours = coloursOf(this.slot)
    const layers = this.layersNow()
    const legend = Object.keys(NUMBERS)
      .filter((layer) => this.layers[layer] && layers[layer])
      .map((layer) => ({ name: this.chips[layer].textContent, colour: colours[layer] }))
    const title = { pairs: "Pair plot", principal: "Principal axes", slice: "Slice of the energy" }
    const about = `${runName()}, step ${this.step}. ${this.about.textContent}`
    return { title: title[this.drawnView], about, legend, scale: this.colours(colours) }
  }
}
