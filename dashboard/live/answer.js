// What a trained run answered: the sentence, its figures beside what they are read against,
// pictures and tables. Reads the answer from the run's folder.

import { coloursOf } from "./colours.js"
import { make, rootOf } from "./dom.js"
import { paintField } from "./field.js"
import { unpack } from "./frames.js"
import { drawGrid } from "./images.js"
import { figure } from "./numbers.js"
import { lineChart } from "./plot.js"
import { drawPoints } from "./points.js"

const CARD = 340
const ROLES = { data: "data", noise: "noise", train_time: "chains", long_run: "samples" }

export function mount(slot, component) {
  const page = new Answer(slot, component.data)
  return { update: (data) => page.show(data), unmount: () => page.close() }
}

class Answer {
  constructor(slot, data) {
    const { root, unwatch } = rootOf(slot, () => this.draw())
    Object.assign(this, { slot, root, unwatch })
    this.sizes = new ResizeObserver(() => this.draw())
    this.sizes.observe(root)
    this.show(data)
  }

  close() {
    this.sizes.disconnect()
    this.unwatch()
  }

  async show(data) {
    if (this.id === data.answer) return
    this.id = data.answer
    const query = new URLSearchParams({ run: data.run, name: `answers/${data.answer}.json`, token: data.token })
    try {
      const response = await fetch(`/live/file?${query}`)
      if (!response.ok) throw new Error(await response.text())
      this.value = await response.json()
    } catch (error) {
      this.root.replaceChildren(make("div.bl-note.alarm", {}, `The answer could not be read: ${error.message}`))
      return
    }
    this.frames = this.value.frames.map((text) => unpack(Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0)).buffer))
    this.width = 0
    this.draw()
  }

  draw() {
    if (!this.frames) return
    const colours = coloursOf(this.root)
    const key = `${this.id} ${this.root.clientWidth} ${colours.bg}`
    if (key === this.drawn) return
    this.drawn = key
    const cards = this.frames.map((frame) => this.card(frame, colours)).filter(Boolean)
    const tables = this.value.tables.map(({ path, columns, rows }) =>
      make("section.bl-panel", {}, make("h3", {}, words(path)), make("div.bl-scroll", {}, tableOf(columns, rows))))
    this.root.replaceChildren(
      make("p.bl-answer", {}, this.value.summary),
      ...(cards.length ? [make("div.bl-cards.bl-answers", {}, ...cards)] : []), ...tables, this.figures())
    this.slot.style.minHeight = ""
  }

  /** Every figure in a row, with its floor and whatever else stands beside it. */
  figures() {
    const { figures } = this.value
    const heads = Object.keys(figures).filter((name) => !besides(name, figures))
    const kinds = [...new Set(Object.keys(figures).map((name) => besides(name, figures)).filter(Boolean))]
    if (!heads.length) return make("div")
    const rows = heads.map((name) => [words(name), figures[name], ...kinds.map((kind) => figures[`${name}/${kind}`] ?? null)])
    return make("details.bl-panel", { open: !this.value.tables.length },
      make("summary", {}, "All figures"), make("div.bl-scroll", {}, tableOf(["figure", "value", ...kinds.map(words)], rows)))
  }

  card(frame, colours) {
    const { kind, path, meta } = frame.header
    const width = Math.min(Math.max(this.root.clientWidth, 220), CARD)
    const canvas = make("canvas", { role: "img", "aria-label": words(path) })
    if (kind === "images") drawGrid(canvas, frame, { width })
    else if (kind === "points") drawPoints(canvas, frame, this.data(frame), width, colours)
    else if (kind === "field") paint(canvas, paintField(frame, colours), width)
    else if (kind === "curve" || kind === "histogram") {
      const lines = kind === "curve" ? curves(frame, colours) : steps(frame, colours)
      const titles = { x: meta.x_name || meta.unit || "", y: kind === "curve" ? meta.unit : "share" }
      const roc = /false.positive/i.test(titles.x)
      const svg = lineChart(Math.min(this.root.clientWidth, 520), 280, lines, titles, colours, { square: roc })
      svg.setAttribute("role", "img")
      svg.setAttribute("aria-label", `${words(path)}: ${lines.map(({ name }) => name).join(", ")}.`)
      return make("div.bl-card.wide", {}, make("div.bl-name", {}, words(path)), svg)
    } else return null
    return make("div.bl-card", {}, make("div.bl-name", {}, words(path)), canvas)
  }

  /** Real points to draw others over. */
  data(frame) {
    return this.frames.find(({ header }) => header.kind === "points" && header.meta.role === "data" && header.seq !== frame.header.seq)
  }
}

/** `floor` of `mse/floor` where `mse` is a figure itself. */
function besides(name, figures) {
  const at = name.lastIndexOf("/")
  return at > 0 && name.slice(0, at) in figures ? name.slice(at + 1) : ""
}

function words(path) {
  const text = path.replaceAll("_", " ").replaceAll("/", ", ")
  return text[0].toUpperCase() + text.slice(1)
}

function tableOf(columns, rows) {
  const cell = (value) => {
    if (typeof value === "number" || value === null) return figure(value)
    return /^[a-z]+(_[a-z0-9]+)+$/.test(value) ? words(value) : value
  }
  return make("table", {},
    make("thead", {}, make("tr", {}, ...columns.map((name) => make("th", {}, name)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((value) =>
      make("td", { title: typeof value === "number" ? String(value) : "" }, cell(value)))))))
}

function curves({ header, arrays }, colours) {
  const { x, y } = arrays
  const num = x.data.length
  return header.meta.names.map((name, row) => ({
    name: words(name), x: x.data, y: y.data.subarray(row * num, (row + 1) * num),
    colour: colours.runs[row % colours.runs.length],
  }))
}

function steps({ header, arrays }, colours) {
  const { edges, counts } = arrays
  const bins = edges.data.length - 1
  return header.meta.names.map((name, row) => {
    const [x, y] = [[], []]
    for (let bin = 0; bin < bins; bin++) {
      x.push(edges.data[bin], edges.data[bin + 1])
      y.push(counts.data[row * bins + bin], counts.data[row * bins + bin])
    }
    const colour = colours[ROLES[name]] ?? colours.runs[row % colours.runs.length]
    return { name: words(name), x, y, colour, dash: name === "noise" ? "4 3" : "" }
  })
}

function paint(canvas, source, width) {
  canvas.width = canvas.height = width * 2
  canvas.style.width = canvas.style.height = `${width}px`
  const context = canvas.getContext("2d")
  context.imageSmoothingQuality = "high"
  context.drawImage(source, 0, 0, width * 2, width * 2)
}
