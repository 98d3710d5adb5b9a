// Runs side by side: pictures on one scale, curves with bands over seeds. Live while they run.

import { AXES, layoutOf, plotly } from "./charts.js"
import { coloursOf, faded } from "./colours.js"
import { fromAddress, keepInAddress, make, rootOf, segments } from "./dom.js"
import { densities, paintField } from "./field.js"
import { drawGrid } from "./images.js"
import { count, figure } from "./numbers.js"
import { band, COSTS, Curves, smoothed, thinned } from "./series.js"
import { Live } from "./socket.js"
import { statusWord } from "./status.js"

const EVERY = 500
const DASHES = ["solid", "dash", "dot"]
const PICTURES = {
  "landscape/model": "landscape",
  "samples/long_run": "long-run samples",
  "samples/train_time": "train-time samples",
}
const TAILS = { long_run: "long-run", train_time: "train-time", floor: "floor", goal: "goal" }

export function mount(slot, component) {
  const page = new ComparePage(slot, component.data)
  return { update: (data) => page.update(data), unmount: () => page.close() }
}

class ComparePage {
  constructor(slot, data) {
    const { root, unwatch } = rootOf(slot, () => this.draw(true))
    Object.assign(this, { root, unwatch, data })
    this.axis = COSTS.includes(fromAddress("axis")) ? fromAddress("axis") : "step"
    this.smoothing = 0.7
    this.paths = (fromAddress("metrics") ?? "").split(",").filter(Boolean)
    this.build()
    this.reset()
    this.socket = new Live(data.token, {
      message: (message) => this.hear(message),
      frame: (frame) => this.take(frame),
      connection: ({ open }) => (this.stale.hidden = open),
    })
    this.socket.watch(this.ids())
    this.ticking = setInterval(() => this.draw(), EVERY)
    this.sizes = new ResizeObserver(() => this.drawPictures())
    this.sizes.observe(this.root)
  }

  close() {
    this.socket.close()
    this.unwatch()
    clearInterval(this.ticking)
    this.sizes.disconnect()
  }

  ids() {
    return this.data.groups.flatMap((group) => group.runs)
  }

  update(data) {
    const before = this.ids().join()
    this.data = data
    if (this.ids().join() === before) return
    this.reset()
    this.socket.watch(this.ids())
  }

  reset() {
    this.curves = new Map(this.ids().map((id) => [id, new Curves()]))
    this.frames = new Map(this.ids().map((id) => [id, {}]))
    this.statuses = new Map()
    this.cards.replaceChildren()
    this.shownCards = new Map()
    this.drawn = ""
    this.framesVersion = 0
  }

  build() {
    this.stale = make("div.bl-note", {
      hidden: true, textContent: "Live updates stopped. The page shows what it had; trying again.",
    })
    this.kind = fromAddress("picture") in PICTURES ? fromAddress("picture") : "landscape/model"
    this.kinds = segments(PICTURES, this.kind, (kind) => {
      this.kind = kind
      keepInAddress("picture", kind)
      this.drawPictures()
    }, "Pictures")
    this.scaleNote = make("span.bl-muted")
    this.cards = make("div.bl-cards")
    this.axes = segments(AXES, this.axis, (axis) => {
      this.axis = axis
      keepInAddress("axis", axis === "step" ? null : axis)
      this.draw(true)
    }, "x axis")
    this.search = make("input", { type: "search", placeholder: "+ metric" })
    this.search.setAttribute("list", "bl-metrics")
    this.search.setAttribute("aria-label", "Add a metric")
    this.known = make("datalist", { id: "bl-metrics" })
    this.search.onchange = () => this.addPath(this.search.value)
    this.smooth = make("input", { type: "range", min: 0, max: 0.98, step: 0.02, value: this.smoothing })
    this.smooth.setAttribute("aria-label", "Smoothing")
    this.smooth.oninput = () => {
      this.smoothing = Number(this.smooth.value)
      this.draw(true)
    }
    this.legend = make("div.bl-legend")
    this.charts = make("div.bl-charts.bl-wide")
    this.root.append(
      this.stale,
      make("section.bl-panel", {},
        make("div.bl-row", {}, make("h3", {}, "Pictures"), this.kinds, this.scaleNote), this.cards),
      make("section.bl-panel", {},
        make("div.bl-row", {}, make("h3", {}, "Curves"), this.search, this.known,
          make("label.bl-muted", {}, "smoothing ", this.smooth),
          make("span.bl-muted.bl-right", {}, "x axis"), this.axes),
        this.legend, this.charts))
  }

  hear(message) {
    if (message.op === "status") {
      this.statuses.set(message.run, message)
      this.nameCards()
    } else if (message.op === "history") this.curves.get(message.run)?.clear()
  }

  take(frame) {
    const { run, kind, path } = frame.header
    if (!this.curves.has(run)) return
    if (kind === "scalar") this.curves.get(run).add(frame)
    else if (kind === "text") {
      if (path === "run/resumed") this.curves.get(run).cutAfter(frame.header.last[0])
    } else {
      this.frames.get(run)[path] = frame
      this.framesVersion++
    }
  }

  // ------------------------------------------------------------------ pictures

  colour(index) {
    const { runs } = coloursOf(this.root)
    return runs[index % runs.length]
  }

  draw(all = false) {
    const versions = [...this.curves.values()].map((curves) => curves.version)
    const key = [this.framesVersion, ...versions].join()
    if (!all && key === this.drawn) return
    this.drawn = key
    this.drawPictures()
    this.drawCurves()
  }

  /** The first run of every group; a shared scale makes colours comparable. */
  drawPictures() {
    const colours = coloursOf(this.root)
    const shown = this.data.groups.map((group) => this.frames.get(group.runs[0])?.[this.kind])
    const available = Object.keys(PICTURES).filter((kind) =>
      [...this.frames.values()].some((frames) => frames[kind]))
    for (const kind of Object.keys(PICTURES)) {
      this.kinds.disable(kind, available.includes(kind) ? "" : "None of these runs draws this.")
    }
    if (!available.includes(this.kind) && available.length) {
      this.kind = available[0]
      this.kinds.choose(this.kind)
      return
    }
    const masses = shown.map((frame) => {
      if (frame?.header.kind !== "field") return null
      const { x_range: xs, y_range: ys } = frame.header.meta
      const cell = ((xs[1] - xs[0]) * (ys[1] - ys[0])) / frame.arrays.values.data.length
      return densities(frame).reduce((sum, value) => sum + value, 0) * cell
    })
    const highest = Math.max(...masses.filter(Boolean).map((mass) => 1 / mass))
    this.scaleNote.textContent = masses.some(Boolean) ? "normalised densities, one colour scale" : ""
    this.data.groups.forEach((group, index) => {
      const card = this.card(group, index)
      const frame = shown[index]
      card.none.hidden = Boolean(frame)
      card.canvas.hidden = !frame
      if (!frame) return
      card.step.textContent = `step ${count(frame.header.last[0])}`
      const width = Math.max(Math.min(card.element.clientWidth, 420), 120)
      if (frame.header.kind === "images") drawGrid(card.canvas, frame, { width })
      else if (frame.header.kind === "field") {
        this.paint(card.canvas, paintField(frame, colours, "density", masses[index] * highest), width)
      } else this.paintPoints(card.canvas, group.runs[0], frame, width, colours)
    })
  }

  paint(canvas, source, width) {
    canvas.width = canvas.height = width * 2
    canvas.style.width = canvas.style.height = `${width}px`
    const context = canvas.getContext("2d")
    context.imageSmoothingQuality = "high"
    context.drawImage(source, 0, 0, width * 2, width * 2)
  }

  /** Samples over the data, in the view that all share. */
  paintPoints(canvas, run, frame, width, colours) {
    canvas.width = canvas.height = width * 2
    canvas.style.width = canvas.style.height = `${width}px`
    const context = canvas.getContext("2d")
    context.scale(2, 2)
    const data = this.frames.get(run)["samples/data"]
    const base = (data ?? frame).arrays.positions
    const range = [0, 1].map((axis) => {
      let [low, high] = [Infinity, -Infinity]
      for (let i = 0; i < base.shape[0]; i++) {
        low = Math.min(low, base.data[i * base.shape[1] + axis])
        high = Math.max(high, base.data[i * base.shape[1] + axis])
      }
      return [low, high]
    })
    const span = Math.max(range[0][1] - range[0][0], range[1][1] - range[1][0]) * 1.3 || 1
    const dots = (positions, colour, radius) => {
      context.fillStyle = colour
      const { shape, data: values } = positions
      for (let i = 0; i < shape[0]; i++) {
        const place = (axis) => (values[i * shape[1] + axis] - (range[axis][0] + range[axis][1]) / 2) / span
        context.beginPath()
        context.arc(width * (0.5 + place(0)), width * (0.5 - place(1)), radius, 0, 2 * Math.PI)
        context.fill()
      }
    }
    if (data) dots(data.arrays.positions, faded(colours.data, 0.3), 1.2)
    const made = frame.header.meta.role === "train_time" ? colours.chains : colours.samples
    dots(frame.arrays.positions, faded(made, 0.85), 1.8)
  }

  card(group, index) {
    const known = this.shownCards.get(group.runs[0])
    if (known) return known
    const canvas = make("canvas", { role: "img", "aria-label": group.title })
    const step = make("span.bl-muted")
    const word = make("span")
    const link = make("a.bl-name", { href: `/run?id=${group.runs[0]}` }, group.title)
    const none = make("div.bl-empty", {}, "Nothing drawn yet.")
    const mark = make("i.bl-mark")
    mark.style.background = this.colour(index)
    const element = make("div.bl-card", {},
      make("div.bl-row", {}, mark, link), make("div.bl-row", {}, word, step), canvas, none)
    this.cards.append(element)
    const card = { element, canvas, step, word, none }
    this.shownCards.set(group.runs[0], card)
    this.nameCards()
    return card
  }

  nameCards() {
    for (const [id, card] of this.shownCards) {
      const status = this.statuses.get(id)
      if (status && card.said !== status.status) {
        card.said = status.status
        card.word.replaceChildren(statusWord(status.status))
      }
    }
  }

  // ------------------------------------------------------------------ curves

  addPath(path) {
    this.search.value = ""
    const chosen = this.titles?.get(path) ?? path
    if (!this.all.includes(chosen) || this.paths.includes(chosen)) return
    this.paths.push(chosen)
    keepInAddress("metrics", this.paths.join(","))
    this.draw(true)
  }

  title(path) {
    const [, head, tail] = /^(.*?)(?:\/(long_run|train_time|floor|goal))?$/.exec(path)
    const about = this.data.figures[head] ?? { title: head }
    return { ...about, title: tail ? `${about.title}, ${TAILS[tail]}` : about.title, head }
  }

  choosePaths() {
    this.all = [...new Set([...this.curves.values()].flatMap((curves) => [...curves.paths.keys()]))]
      .filter((path) => !/\/(floor|goal|clip)$/.test(path)).sort()
    this.titles = new Map(this.all.map((path) => [this.title(path).title, path]))
    this.known.replaceChildren(...[...this.titles.keys()].map((title) => make("option", { value: title })))
    if (!this.paths.length) {
      const wanted = ["quality/grid_kl", "quality/frechet_pca/long_run", "quality/energy_distance/long_run",
        "energy/gap", "loss/total", "energy/model"]
      return wanted.filter((path) => this.all.includes(path)).slice(0, 2)
    }
    return this.paths
  }

  drawCurves() {
    const shown = this.choosePaths()
    const hasJoules = [...this.curves.values()].some((curves) => curves.hasJoules)
    this.axes.disable("joules", hasJoules ? "" : "None of these runs measured joules.")
    for (const section of [...this.charts.children]) {
      if (!shown.includes(section.dataset.path)) section.remove()
    }
    for (const path of shown) this.drawChart(path)
    this.drawLegend()
  }

  drawLegend() {
    this.legend.replaceChildren(
      ...this.data.groups.map((group, index) => {
        const mark = make("i.bl-mark")
        mark.style.background = this.colour(index)
        return make("span", {}, mark, ` ${group.title}`)
      }))
  }

  section(path) {
    const found = [...this.charts.children].find((section) => section.dataset.path === path)
    if (found) return found
    const about = this.title(path)
    const remove = make("button.bl-quiet.bl-log", { type: "button", textContent: "×" })
    remove.setAttribute("aria-label", "Remove this chart")
    remove.onclick = () => {
      this.paths = this.choosePaths().filter((other) => other !== path)
      keepInAddress("metrics", this.paths.join(",") || null)
      section.remove()
      this.draw(true)
    }
    const unit = [about.unit, about.log ? "log" : ""].filter(Boolean).join(", ")
    const section = make("section.bl-chart", {},
      make("header", {}, make("strong", {}, about.title), make("span.bl-unit", {}, unit), remove),
      make("div.bl-values"), make("div.bl-plot.bl-tall"))
    section.dataset.path = path
    this.charts.append(section)
    return section
  }

  drawChart(path) {
    const section = this.section(path)
    const about = this.title(path)
    const plot = section.querySelector(".bl-plot")
    plotly().then((Plotly) => {
      const colours = coloursOf(this.root)
      const log = Boolean(about.log)
      const layout = layoutOf(colours, {
        log, xTitle: AXES[this.axis], height: 280, revision: `${this.axis} ${log}`,
      })
      const words = []
      const traces = this.data.groups.flatMap((group, index) =>
        this.traces(group, index, path, log, words))
      layout.shapes = this.lines(about.head, log, colours, words)
      section.querySelector(".bl-values").replaceChildren(...words)
      plot.setAttribute("role", "img")
      plot.setAttribute("aria-label",
        `${about.title}: ${words.map((word) => word.textContent).join(", ") || "no values yet"}.`)
      Plotly.react(plot, traces, layout, { displayModeBar: false, responsive: true })
    })
  }

  traces(group, index, path, log, words) {
    const colour = this.colour(index)
    const found = group.runs
      .map((id) => this.curves.get(id)?.get(path))
      .filter((columns) => columns?.value.length)
      .map((columns) => {
        const kept = thinned(columns.value)
        const smooth = smoothed(columns.value, kept.length >= 30 ? this.smoothing : 0, log)
        const y = (values) => kept.map((row) => (log && values[row] <= 0 ? NaN : values[row]))
        return { x: kept.map((row) => columns[this.axis][row]), raw: y(columns.value), y: y(smooth) }
      })
    if (!found.length) return []
    const line = { color: colour, width: 1.8, dash: index < 6 ? "solid" : DASHES[1 + (index % 2)] }
    const last = found.map(({ y }) => y[y.length - 1]).filter(Number.isFinite).sort((a, b) => a - b)
    if (last.length) {
      const word = make("span", {}, figure(last[Math.floor(last.length / 2)]))
      word.style.color = colour
      words.push(word)
    }
    const template = `%{y:.4g}<extra>${group.title.replace(/[<>&]/g, " ")}</extra>`
    const mode = found[0].x.length < 8 ? "lines+markers" : "lines"
    if (found.length === 1) {
      const [{ x, y, raw }] = found
      const traces = [{ x, y, mode, line, name: group.title, hovertemplate: template }]
      if (this.smoothing && x.length >= 30) {
        traces.unshift({ x, y: raw, mode: "lines", hoverinfo: "skip", line: { color: faded(colour, 0.28), width: 1 } })
      }
      return traces
    }
    const { x, middle, low, high } = band(found)
    const edge = { width: 0 }
    return [
      { x, y: low, mode: "lines", line: edge, hoverinfo: "skip" },
      { x, y: high, mode: "lines", line: edge, hoverinfo: "skip", fill: "tonexty", fillcolor: faded(colour, 0.16) },
      { x, y: middle, mode: "lines", line, name: group.title, hovertemplate: template },
    ]
  }

  /** The floor or goal that all runs share, or the median of theirs. */
  lines(head, log, colours, words) {
    const shapes = []
    for (const tail of ["floor", "goal"]) {
      const values = [...this.curves.values()].map((curves) => curves.last(`${head}/${tail}`))
        .filter(Number.isFinite).sort((a, b) => a - b)
      const value = values[Math.floor(values.length / 2)]
      if (value === undefined || (log && value <= 0)) continue
      shapes.push({
        type: "line", xref: "paper", x0: 0, x1: 1, y0: value, y1: value,
        line: { color: colours.muted, width: 1.2, dash: "dot" },
      })
      words.push(make("span.bl-muted", {}, `${tail} ${figure(value)}`))
    }
    return shapes
  }
}
