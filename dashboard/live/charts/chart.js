// Curves with Plotly: one figure a chart, created once; updates only change its data.

import { coloursOf, faded } from "../parts/colours.js"
import { drawn, make } from "../parts/dom.js"
import { exporter, save } from "../parts/export.js"
import { figure } from "../parts/formatting.js"
import { plotly } from "./plotly.js"
import { band, firstAt, smoothed, thinned } from "../stream/curves.js"

const SMOOTH_FROM = 30
const SMOOTH_POINTS = 200
const MOST_MARKS = 200
const MOST_NAMED = 4
/** lines beyond which a chart leaves out what each of them says by itself */
const CROWD = 8
const CONFIG = { displayModeBar: false, responsive: false, showTips: false, doubleClick: false }
export const AXES = {
  step: "step",
  gradients: "gradients",
  seconds: "seconds",
  joules: "joules",
}

/** The layout all charts share. */
function layoutOf(colours, { log, xTitle, height }) {
  const axis = {
    gridcolor: colours.line,
    zeroline: !log,
    zerolinecolor: colours.line2,
    linecolor: colours.line2,
    tickfont: { size: 12, color: colours.muted },
    ticks: "",
    automargin: false,
  }
  return {
    height,
    margin: { l: 46, r: 10, t: 6, b: 34 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "'Source Sans', 'Source Sans Pro', sans-serif", color: colours.text },
    showlegend: false,
    hovermode: "x unified",
    hoverlabel: { bgcolor: colours.raised, bordercolor: colours.line2, font: { size: 12.5 } },
    xaxis: {
      ...axis,
      showgrid: false,
      zeroline: false,
      showline: true,
      nticks: 5,
      title: { text: xTitle, font: { size: 12, color: colours.muted }, standoff: 4 },
    },
    yaxis: {
      ...axis,
      type: log ? "log" : "linear",
      nticks: log ? 4 : 5,
      // on a log axis Plotly else mixes two sizes and two ways of writing a number
      ...(log ? { tickformat: "~g" } : { exponentformat: "power" }),
    },
    // where marks lie that belong to no value: at the edge, whatever the range
    yaxis2: { overlaying: "y", range: [0, 1], visible: false, fixedrange: true },
  }
}

/** One chart: lines of one run or of several, on a board that says how all of them look. */
export class Chart {
  constructor(slot, path, board) {
    Object.assign(this, { path, board })
    this.about = board.source.about(path)
    this.fetched = new Set()
    this.unit = make("span.bl-unit")
    this.log = make("button.bl-quiet.bl-log", {
      type: "button",
      title: "Switch between a straight and a log axis",
    })
    this.log.onclick = () => board.turn(path)
    const remove = make("button.bl-quiet.bl-remove", { type: "button", textContent: "×" })
    remove.setAttribute("aria-label", "Remove this chart")
    remove.onclick = () => board.remove(path)
    const ways = exporter({
      png: () => this.picture("png"),
      svg: () => this.picture("svg"),
      csv: () => this.table(),
    })
    this.values = make("div.bl-values")
    this.plot = make("div.bl-plot")
    this.slot = make(
      "section.bl-chart",
      {},
      make(
        "header",
        { title: this.about.help ?? "" },
        make("span.bl-title", {}, make("strong", {}, this.about.title), " ", this.unit),
        this.log,
        ways,
        remove,
      ),
      this.values,
      this.plot,
    )
    this.slot.dataset.path = path
    this.name()
    slot.append(this.slot)
    this.visible = false
    this.seen = new IntersectionObserver((entries) => {
      this.visible = entries[entries.length - 1].isIntersecting
      if (this.visible && this.waiting) board.ask()
    })
    this.seen.observe(this.plot)
    this.sizes = new ResizeObserver(() => {
      if (this.made) window.Plotly.Plots.resize(this.plot)
    })
    this.sizes.observe(this.plot)
  }

  name() {
    const log = this.board.isLog(this.path)
    this.unit.textContent = [this.about.unit, log ? "log" : ""].filter(Boolean).join(", ")
    this.log.textContent = log ? "linear" : "log"
  }

  close() {
    this.seen.disconnect()
    this.sizes.disconnect()
    if (this.made) window.Plotly.purge(this.plot)
    this.slot.remove()
  }

  lines() {
    return this.board.source.lines(this.path)
  }

  /** Draw what is new. A chart out of sight waits. */
  draw() {
    const lines = this.lines()
    const members = lines.flatMap((line) => line.members)
    const references = this.board.source.references(this.path)
    const key = [
      this.board.version,
      this.board.source.end(this.board.axis) ?? "",
      ...this.marks().map(({ x }) => x),
      ...references.map(({ value }) => value),
      ...members.map(({ run, path, columns }) => `${run}${path}${columns.version}`),
    ].join()
    if (key === this.drawn) return
    this.waiting = !this.visible
    if (this.waiting) return
    this.drawn = key
    if (!window.Plotly) {
      // loaded once for all charts
      plotly().then(() => {
        this.drawn = null
        this.board.ask()
      })
      return
    }
    this.react(lines, references)
    for (const { columns, run, path } of members) {
      if (columns.said) drawn(this.plot, { run, path, kind: "scalar", ...columns.said })
    }
    this.board.fetchDetail(this)
  }

  react(lines, references) {
    const { board, path } = this
    const colours = coloursOf(this.slot)
    const log = board.isLog(path)
    this.name()
    const layout = layoutOf(colours, {
      log,
      xTitle: AXES[board.axis],
      height: this.plot.clientHeight || 172,
    })
    const end = board.source.end(board.axis)
    if (board.zoom) layout.xaxis.range = [...board.zoom]
    else if (end) layout.xaxis.range = [0, end]
    if (board.heights.has(path)) layout.yaxis.range = [...board.heights.get(path)]
    const words = []
    this.bucketed = false
    const traces = lines.flatMap((line) => this.traces(line, lines, log, colours, words))
    if (this.bucketed) words.push(quiet("bucketed"))
    layout.shapes = this.marked(references, log, colours, words)
    layout.annotations = this.named(colours)
    this.values.replaceChildren(...words)
    window.Plotly.react(this.plot, traces, layout, CONFIG)
    if (!this.made) this.listen()
    this.made = true
    const said = words.map((word) => word.textContent).join(", ")
    this.plot.setAttribute("role", "img")
    this.plot.setAttribute("aria-label", `${this.about.title}: ${said || "no values yet"}.`)
  }

  listen() {
    const { board, plot, path } = this
    plot.on("plotly_relayout", (change) => {
      const range = (axis) => [change[`${axis}.range[0]`], change[`${axis}.range[1]`]]
      const [x, y] = [range("xaxis"), range("yaxis")]
      if (y[0] !== undefined) board.stretch(path, y)
      if (x[0] !== undefined) board.zoomTo(x)
      else if (y[0] !== undefined) board.change()
    })
    plot.on("plotly_doubleclick", () => board.zoomTo(null))
    plot.on("plotly_hover", ({ xvals }) => board.point(this, xvals[0]))
    plot.on("plotly_unhover", () => board.point(this, null))
  }

  /** Show the cursor of another chart at the same place; null takes it away. */
  point(x) {
    if (!this.made || !this.visible) return
    if (x === null) window.Plotly.Fx.unhover(this.plot)
    else window.Plotly.Fx.hover(this.plot, { xval: x, yval: 0 }, "xy", true)
  }

  /** Stretches in sight of bucketed curves that are not yet held in detail. */
  lacking() {
    const { axis, zoom } = this.board
    if (!zoom) return []
    const wanted = new Map()
    for (const { run, path, columns, curves } of this.lines().flatMap((line) => line.members)) {
      if (!columns.bucketed || !columns.step.length) continue
      const whole = curves.detailed(path)
      const end = whole.step.length - 1
      const from = whole.step[Math.max(firstAt(whole[axis], zoom[0]) - 1, 0)]
      const last = whole.step[Math.min(firstAt(whole[axis], zoom[1]), end)]
      // what came live since is all there
      const to = Math.min(last, columns.bucketedTo)
      if (from >= to || (whole.fine && whole.from <= from && whole.to >= to)) continue
      const key = `${run} ${from} ${to} ${curves.epoch}`
      if (!wanted.has(key)) wanted.set(key, { run, paths: [], from, to, key })
      wanted.get(key).paths.push(path)
    }
    return [...wanted.values()]
  }

  // ------------------------------------------------------------------ what a line looks like

  traces(line, lines, log, colours, words) {
    const members = line.members.filter(({ columns }) => columns.value.length)
    if (!members.length) return []
    const { board } = this
    const hex = line.colour(colours)
    const isHidden = board.hidden.has(line.hiddenBy ?? line.key)
    const values = members
      .map(({ columns }) => columns.value[columns.value.length - 1])
      .sort((a, b) => a - b)
    const last = values[Math.floor(values.length / 2)]
    const name = line.name || this.about.title
    const isCrowded = lines.filter((each) => !each.isReference).length > CROWD
    if (!isCrowded && !line.isReference) words.push(this.word(line, last, hex, isHidden))
    if (isHidden) return []
    const canDraw = (y) => Number.isFinite(y) && !(log && y <= 0)
    const curves = members.map(({ curves, path }) => {
      const columns = curves.detailed(path)
      const shown = inSight(columns[board.axis], board.zoom)
      const { value } = columns
      const kept = [
        ...thinned(value, undefined, 0, shown[0]),
        ...thinned(value, undefined, ...shown),
        ...thinned(value, undefined, shown[1], value.length),
      ]
      const smooth = kept.length >= SMOOTH_FROM && board.smoothing > 0 && !line.isReference
      // the same share of the picture is averaged, however many points there are
      const weight = board.smoothing ** Math.min(1, SMOOTH_POINTS / value.length)
      const all = smooth ? smoothed(value, weight, log) : value
      const y = (from) => kept.map((row) => (canDraw(from[row]) ? from[row] : null))
      return {
        columns,
        shown,
        kept,
        smooth,
        x: kept.map((row) => columns[board.axis][row]),
        raw: y(value),
        y: y(all),
      }
    })
    const template = `%{y:.4g}<extra>${(line.name || "").replace(/[<>&]/g, " ")}</extra>`
    const stroke = { color: hex, width: line.isReference ? 1.3 : 1.8, dash: line.dash ?? "solid" }
    if (line.isReference) {
      const [{ x, y }] = curves
      return [{ x, y, name, mode: "lines", line: stroke, opacity: 0.75, hoverinfo: "skip" }]
    }
    if (members.length > 1) return this.banded(curves, name, stroke, hex, template)
    const [{ columns, shown, kept, smooth, x, raw, y }] = curves
    this.bucketed ||= isBucketed(columns, shown, kept)
    // of many lines the raw ones would hide all the others
    if (smooth && isCrowded)
      return [{ x, y, name, mode: "lines", line: stroke, hovertemplate: template }]
    const traces = [
      {
        x,
        y: raw,
        name,
        mode: kept.length < 8 ? "lines+markers" : "lines",
        line: smooth ? { color: faded(hex, 0.28), width: 1 } : { ...stroke, width: 1.6 },
        marker: { size: 5 },
        hovertemplate: template,
      },
    ]
    if (smooth) traces.push({ x, y, name, mode: "lines", line: stroke, hoverinfo: "skip" })
    const lost = []
    for (let row = 0; row < columns.value.length; row++)
      if (!canDraw(columns.value[row])) lost.push(row)
    if (lost.length) traces.push(marks(lost, columns, board.axis, hex))
    const infinite = lost.filter((row) => !Number.isFinite(columns.value[row])).length
    if (infinite) words.push(quiet(`${infinite} not finite`))
    if (lost.length > infinite) words.push(quiet(`${lost.length - infinite} not above 0`))
    return traces
  }

  /** Seeds: their median, and a band from the least to the greatest (10 to 90 % of many). */
  banded(curves, name, stroke, hex, template) {
    const { x, middle, low, high } = band(curves)
    const edge = { mode: "lines", line: { width: 0 }, hoverinfo: "skip" }
    return [
      { x, y: low, ...edge },
      { x, y: high, ...edge, fill: "tonexty", fillcolor: faded(hex, 0.16) },
      { x, y: middle, mode: "lines", line: stroke, name, hovertemplate: template },
    ]
  }

  /** The last value, in the line's colour; a click hides the line, another brings it back. */
  word(line, last, hex, isHidden) {
    const word = make("button.bl-word", {
      type: "button",
      title: isHidden ? "Show this line" : `${last}; click to hide this line`,
    })
    word.style.color = hex
    word.textContent = `${line.short ?? line.name} ${isHidden ? "hidden" : figure(last)}`.trim()
    word.setAttribute("aria-pressed", String(!isHidden))
    word.onclick = () => this.board.toggle(this.board.hidden, "hide", line.key)
    return word
  }

  /** Dotted reference lines, with their words, and the moment looked back at. */
  marked(references, log, colours, words) {
    const shapes = []
    for (const { word, value } of references) {
      if (!Number.isFinite(value) || (log && value <= 0)) continue
      shapes.push({
        type: "line",
        xref: "paper",
        x0: 0,
        x1: 1,
        y0: value,
        y1: value,
        line: { color: colours.muted, width: 1.2, dash: "dot" },
      })
      words.push(quiet(`${word} ${figure(value)}`))
    }
    for (const { x, colour } of this.marks()) {
      shapes.push({
        type: "line",
        yref: "paper",
        y0: 0,
        y1: 1,
        x0: x,
        x1: x,
        line: { color: colour(colours), width: 1.2, dash: "dash" },
      })
    }
    const { cursor } = this.board
    if (cursor !== null) {
      shapes.push({
        type: "line",
        yref: "paper",
        y0: 0,
        y1: 1,
        x0: cursor,
        x1: cursor,
        line: { color: colours.accent, width: 1.2 },
      })
    }
    return shapes
  }

  /** Moments at which something was done to a run: [{x, words, colour}]. */
  marks() {
    return this.board.source.marks?.(this.board.axis) ?? []
  }

  /** The words of the last few marks, one under the other. */
  named(colours) {
    return this.marks()
      .slice(-MOST_NAMED)
      .map(({ x, words, colour }, row) => ({
        x,
        yref: "paper",
        y: 1 - 0.08 * row,
        text: words.replace(/[<>&]/g, " "),
        showarrow: false,
        xanchor: "left",
        yanchor: "top",
        xshift: 2,
        font: { size: 11.5, color: colour(colours) },
        bgcolor: faded(colours.bg, 0.8),
      }))
  }

  // ------------------------------------------------------------------ as a file

  get fileName() {
    return this.path.replaceAll("/", "-")
  }

  async picture(format) {
    const colours = coloursOf(this.slot)
    const { clientWidth: width } = this.plot
    const layout = {
      ...this.plot.layout,
      paper_bgcolor: colours.bg,
      plot_bgcolor: colours.bg,
      margin: { l: 56, r: 16, t: 40, b: 40 },
      title: {
        text: [this.about.title, this.about.unit].filter(Boolean).join(", "),
        font: { size: 14 },
      },
      height: 320,
      width: Math.max(width, 480),
      showlegend: this.plot.data.some((trace) => trace.name && trace.hoverinfo !== "skip"),
    }
    const data = this.plot.data.map((trace) => ({
      ...trace,
      showlegend: trace.hoverinfo !== "skip" && Boolean(trace.name),
    }))
    const address = await window.Plotly.toImage(
      { data, layout },
      { format, scale: format === "png" ? 2 : 1 },
    )
    save(`${this.fileName}.${format}`, await (await fetch(address)).blob())
  }

  /** Every point, from the server: the page may hold fewer. */
  table() {
    const members = this.lines()
      .filter((line) => !this.board.hidden.has(line.key))
      .flatMap((line) => line.members)
    const link = make("a", { href: this.board.source.tableAddress(members), download: "" })
    document.body.append(link)
    link.click()
    link.remove()
  }
}

function isBucketed(columns, shown, kept) {
  const drawnRows = kept.filter((row) => row >= shown[0] && row < shown[1]).length
  const first = columns.step[shown[0]]
  const fine = first >= columns.bucketedTo || (columns.fine && columns.from <= first)
  return (columns.bucketed && !fine) || drawnRows < shown[1] - shown[0]
}

/** First row in sight and the one after the last, each with a neighbour that leads out of it. */
function inSight(x, zoom) {
  if (!zoom) return [0, x.length]
  return [Math.max(firstAt(x, zoom[0]) - 1, 0), Math.min(firstAt(x, zoom[1]) + 1, x.length)]
}

/** Triangles at the edge, where a curve has values that cannot be drawn. */
function marks(rows, columns, axis, colour) {
  const every = Math.ceil(rows.length / MOST_MARKS)
  const some = rows.filter((_, place) => place % every === 0)
  const below = (row) => columns.value[row] <= 0
  return {
    x: some.map((row) => columns[axis][row]),
    y: some.map((row) => (below(row) ? 0.03 : 0.97)),
    yaxis: "y2",
    name: "cannot be drawn",
    mode: "markers",
    text: some.map((row) => figure(columns.value[row])),
    marker: {
      color: colour,
      size: 7,
      symbol: some.map((row) => (below(row) ? "triangle-down" : "triangle-up")),
    },
    hovertemplate: "%{text}<extra>cannot be drawn</extra>",
  }
}

function quiet(text) {
  const word = document.createElement("span")
  word.className = "bl-muted"
  word.textContent = text
  return word
}
