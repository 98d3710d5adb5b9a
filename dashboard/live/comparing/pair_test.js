// The test of two runs: do their draws differ, is it chance, and, in the plane, where.

import { lineChart } from "../charts/small_charts.js"
import { ramp } from "../parts/colours.js"
import { fromAddress, keepInAddress, make } from "../parts/dom.js"
import { figure } from "../parts/formatting.js"
import { planeOn } from "../pictures/drawing/plane.js"
import { readAnswer } from "../stream/answers.js"
import { paintOver } from "./pictures.js"

const SIDE = 340
const CHART = [440, 210]
const ABOUT =
  "1 000 draws of each, apart from those above: nearest neighbours, against labels in random orders."

export class PairTest {
  /** `page`: it has `data`, `component`, `painter`, `runOf(group)` and `colour(index)`. */
  constructor(page) {
    this.page = page
    this.chosen = (fromAddress("test") ?? "").split(",")
    const field = (label, place) => {
      const select = make("select", { "aria-label": label, title: label })
      select.onchange = () => {
        this.chosen = [...this.runs]
        this.chosen[place] = select.value
        this.show()
      }
      return select
    }
    this.selects = [field("Run that is tested", 0), field("Run it is tested against", 1)]
    this.button = make("button.bl-button", { type: "button" }, "Test")
    this.button.onclick = () => this.ask()
    this.note = make("span.bl-muted", { role: "status" })
    this.body = make("div.bl-tested")
    this.element = make(
      "section.bl-panel",
      { hidden: true },
      make(
        "div.bl-row",
        {},
        make("h2", {}, "Do they differ?"),
        this.selects[0],
        make("span.bl-muted", {}, "against"),
        this.selects[1],
        this.button,
        this.note,
      ),
      this.body,
    )
  }

  /** Pairs [{run, title, colour, data}] that can be chosen: runs of different groups. */
  get offered() {
    return this.page.data.groups.map((group, index) => ({
      run: this.page.runOf(group),
      title: group.title,
      colour: this.page.colour(index),
      data: group.data,
    }))
  }

  ask() {
    const [first, second] = this.runs
    keepInAddress("test", `${first},${second}`)
    this.asked = `${first},${second}`
    this.page.component.setTriggerValue("test", { first, second })
    this.show()
  }

  /** Show the fields, and what is known of the pair that they name. */
  show() {
    const { offered, page } = this
    const data = offered[0]?.data
    const alike = offered.filter((each) => each.data === data)
    this.element.hidden = Boolean(page.data.bare || page.isOfSets) || alike.length < 2
    if (this.element.hidden) return
    const known = (run) => alike.some((each) => each.run === run)
    const first = known(this.chosen[0]) ? this.chosen[0] : alike[0].run
    const other = alike.find(({ run }) => run !== first).run
    const second = known(this.chosen[1]) && this.chosen[1] !== first ? this.chosen[1] : other
    this.runs = [first, second]
    this.selects.forEach((select, place) => {
      select.replaceChildren(
        ...alike.map(({ run, title }) => make("option", { value: run, textContent: title })),
      )
      select.value = this.runs[place]
    })
    const { tested } = page.data
    const isThis = tested?.first === first && tested.second === second
    if (isThis && (tested.answer || tested.reason)) this.asked = null
    const isWaiting = this.asked === `${first},${second}` || (isThis && tested.waiting)
    this.button.disabled = isWaiting
    this.note.textContent = isWaiting ? "Drawing and testing…" : (isThis && tested.reason) || ABOUT
    if (isThis && tested.answer) this.read(tested)
    else {
      this.answer = null
      this.body.replaceChildren()
    }
  }

  async read({ first, answer }) {
    if (this.answer?.id === answer) return this.draw()
    this.answer = { id: answer }
    try {
      const { token } = this.page.data
      const value = await readAnswer({ run: first, name: answer, token })
      if (this.answer?.id !== answer) return
      this.answer = { ...value, id: answer, at: Math.random() }
      this.draw()
    } catch (error) {
      this.note.textContent = `The answer could not be read: ${error.message}`
    }
  }

  draw() {
    if (!this.answer?.frames) return
    const colours = this.page.colours()
    const key = [this.answer.id, colours.bg, this.element.clientWidth].join()
    if (key === this.drawn && this.body.firstChild) return
    this.drawn = key
    this.body.replaceChildren(...this.contents(colours))
  }

  recolour() {
    this.drawn = ""
    this.draw()
  }

  /** The sentence, the map and the energies both ways; for the page, and for its report. */
  contents(colours) {
    if (!this.answer?.frames) return []
    const { frames, summary } = this.answer
    const pair = this.runs.map((run) => this.offered.find((each) => each.run === run))
    const of = (path) => frames.find(({ header }) => header.path === path)
    const named = pair.map(({ title, colour }, place) => {
      const mark = make("i.bl-mark")
      mark.style.background = colour
      return make("span.bl-row", {}, mark, `${place ? "the other" : "this run"}: ${title}`)
    })
    const parts = []
    const share = of("share_of_other")
    if (share) parts.push(mapOf(share, of("beyond_chance"), pair, colours))
    for (const [path, place] of [
      ["energy_this", 0],
      ["energy_other", 1],
    ]) {
      if (of(path)) parts.push(energiesOf(of(path), pair, place, colours))
    }
    return [
      make("p.bl-answer", {}, summary),
      make("div.bl-legend", {}, ...named),
      make("div.bl-cards.bl-answers", {}, ...parts),
    ]
  }
}

/** Where which of two has more draws; outlined, where by more than chance. */
function mapOf(share, beyond, pair, colours) {
  const { x_range: xs, y_range: ys } = share.header.meta
  const canvas = make("canvas", { role: "img" })
  const plane = planeOn(canvas, SIDE, [xs, ys], colours)
  plane.context.imageSmoothingQuality = "high"
  paintOver(plane, paintShare(share, colours), share.header.meta)
  const [rows, columns] = share.arrays.values.shape
  const marked = Array.from(beyond.arrays.values.data, Number.isFinite)
  const { context, box } = plane
  context.strokeStyle = colours.text
  context.lineWidth = 1.4
  context.beginPath()
  for (const [x, y, toX, toY] of outline(marked, rows, columns)) {
    context.moveTo(box.left + (x / columns) * box.width, box.top + (1 - y / rows) * box.height)
    context.lineTo(box.left + (toX / columns) * box.width, box.top + (1 - toY / rows) * box.height)
  }
  context.stroke()
  const num = marked.filter(Boolean).length
  const outlined = num
    ? "Outlined: beyond chance, over the whole map together."
    : "No place differs beyond chance."
  canvas.ariaLabel = `Map of where the draws of ${pair[0].title} and ${pair[1].title} differ. ${outlined}`
  const bar = make("i")
  bar.style.background = `linear-gradient(90deg, ${colours.diverging.join(",")})`
  return make(
    "div.bl-card",
    {},
    make("div.bl-name", {}, "Where their draws differ"),
    canvas,
    make("span.bl-scale", {}, "more of this run", bar, "more of the other"),
    make("span.bl-muted", {}, outlined),
  )
}

/** A canvas of one pixel a grid point, row 0 at the bottom: half and half is paper. */
function paintShare({ arrays }, colours) {
  const [rows, columns] = arrays.values.shape
  const canvas = make("canvas", { width: columns, height: rows })
  const context = canvas.getContext("2d")
  const image = context.createImageData(columns, rows)
  const table = ramp(colours.diverging)
  arrays.values.data.forEach((value, at) => {
    const to = 4 * ((rows - 1 - Math.floor(at / columns)) * columns + (at % columns))
    const from = 3 * Math.round(255 * (Number.isFinite(value) ? value : 0.5))
    for (let c = 0; c < 3; c++) image.data[to + c] = table[from + c]
    image.data[to + 3] = Number.isFinite(value) ? 255 : 0
  })
  context.putImageData(image, 0, 0)
  return canvas
}

/** Edges [x, y, x, y] between cells that are marked and those that are not, in cells. */
export function outline(marked, rows, columns) {
  const edges = []
  const at = (row, column) =>
    row >= 0 && row < rows && column >= 0 && column < columns && marked[row * columns + column]
  for (let row = 0; row <= rows; row++) {
    for (let column = 0; column <= columns; column++) {
      const here = Boolean(at(row, column))
      if (here !== Boolean(at(row - 1, column)) && column < columns) {
        edges.push([column, row, column + 1, row])
      }
      if (here !== Boolean(at(row, column - 1)) && row < rows) {
        edges.push([column, row, column, row + 1])
      }
    }
  }
  return edges
}

/** Energies of the draws of both under the energy of one. */
function energiesOf({ arrays, header }, pair, place, colours) {
  const { edges, counts } = arrays
  const bins = edges.data.length - 1
  const lines = header.meta.names.map((name, row) => {
    const [x, y] = [[], []]
    for (let bin = 0; bin < bins; bin++) {
      x.push(edges.data[bin], edges.data[bin + 1])
      y.push(counts.data[row * bins + bin], counts.data[row * bins + bin])
    }
    const of = name === "other" ? 1 : 0
    return {
      name: of ? "the other" : "this run",
      x,
      y,
      colour: pair[of].colour,
      dash: of ? "5 3" : "",
    }
  })
  const titles = { x: `energy, ${header.meta.unit}`, y: "share of draws" }
  const svg = lineChart(...CHART, lines, titles, colours)
  const whose = place ? "the other's energy" : "this run's energy"
  svg.setAttribute("role", "img")
  svg.setAttribute("aria-label", `Draws of both by ${whose}, that of ${pair[place].title}`)
  const beyond = header.meta.names.map((name, row) => {
    const far = arrays.clipped.data[2 * row] + arrays.clipped.data[2 * row + 1]
    return far ? `${figure(far)} of ${name === "other" ? "the other's" : "this run's"}` : ""
  })
  const words = beyond.filter(Boolean).join(", ")
  const note = words ? [make("span.bl-muted", {}, `Beyond the axis: ${words}.`)] : []
  return make("div.bl-card", {}, make("div.bl-name", {}, `Draws by ${whose}`), svg, ...note)
}
