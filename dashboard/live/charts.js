// Curves with Plotly: one figure a chart, created once; updates only change its data.

import { coloursOf, faded } from "./colours.js"
import { figure } from "./numbers.js"
import { firstAt, smoothed, thinned } from "./series.js"

const SMOOTH_FROM = 30
const SMOOTH_POINTS = 200
const MOST_MARKS = 200
const CONFIG = { displayModeBar: false, responsive: false, showTips: false }
export const SERIES = {
  "": { word: "", colour: "data" },
  "/train_time": { word: "train-time", colour: "chains" },
  "/long_run": { word: "long-run", colour: "samples" },
}
const LINES = { "/floor": "floor", "/goal": "goal", "/clip": "clip" }
export const AXES = {
  step: "step",
  gradients: "gradients",
  seconds: "seconds",
  joules: "joules",
}

let loading = null

/** Plotly, from its own wheel by way of this server. */
export function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script")
    script.src = new URL("/live/plotly.js", window.location.href).href
    script.onload = () => resolve(window.Plotly)
    script.onerror = () => reject(new Error("Plotly could not be loaded"))
    document.head.append(script)
  })
  return loading
}

/** The layout all charts share. */
export function layoutOf(colours, { log, xTitle, height, revision, zeroline = true }) {
  const axis = {
    gridcolor: colours.line,
    zeroline: zeroline && !log,
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
    uirevision: revision,
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

/** One chart of one run: a path and its companions. */
export class Chart {
  /** `onZoom(chart)`: what is in sight changed; `onHover(x | null)`: where the pointer is. */
  constructor(slot, path, about, { onRemove, onZoom, onHover } = {}) {
    Object.assign(this, { path, about, onZoom, onHover })
    this.log = Boolean(about.log)
    this.slot = document.createElement("section")
    this.slot.className = "bl-chart"
    this.slot.innerHTML = `<header><span class="bl-title"><strong></strong>
      <span class="bl-unit"></span></span><button class="bl-quiet bl-log" title="Switch between a straight and a log axis"></button>
      <button class="bl-quiet bl-remove" aria-label="Remove this chart" hidden>×</button></header>
      <div class="bl-values"></div><div class="bl-plot"></div>`
    this.slot.querySelector("strong").textContent = about.title
    if (about.help) this.slot.querySelector("header").title = about.help
    const logButton = this.slot.querySelector(".bl-log")
    logButton.onclick = () => {
      this.log = !this.log
      this.name()
      this.redraw()
    }
    const remove = this.slot.querySelector(".bl-remove")
    remove.hidden = !onRemove
    remove.onclick = () => onRemove?.(this)
    this.values = this.slot.querySelector(".bl-values")
    this.plot = this.slot.querySelector(".bl-plot")
    this.name()
    slot.append(this.slot)
    this.visible = false
    this.seen = new IntersectionObserver(([entry]) => {
      this.visible = entry.isIntersecting
      if (this.visible && this.waiting) this.draw(...this.waiting)
    })
    this.seen.observe(this.plot)
    this.sizes = new ResizeObserver(() => {
      if (this.made) window.Plotly.Plots.resize(this.plot)
    })
    this.sizes.observe(this.plot)
  }

  name() {
    const unit = [this.about.unit, this.log ? "log" : ""].filter(Boolean).join(", ")
    this.slot.querySelector(".bl-unit").textContent = unit
    this.slot.querySelector(".bl-log").textContent = this.log ? "linear" : "log"
  }

  close() {
    this.seen.disconnect()
    this.sizes.disconnect()
    if (this.made) window.Plotly.purge(this.plot)
    this.slot.remove()
  }

  /** curves: Curves; view: {axis, smoothing, cursor, end}. Charts out of sight wait. */
  draw(curves, view) {
    this.last = [curves, view]
    if (!this.visible) {
      this.waiting = this.last
      return
    }
    this.waiting = null
    plotly().then((Plotly) => {
      const colours = coloursOf(this.slot)
      const { traces, words } = this.traces(curves, view, colours)
      const layout = layoutOf(colours, {
        log: this.log,
        xTitle: AXES[view.axis],
        height: 172,
        revision: this.revisionOf(view),
      })
      layout.shapes = this.lines(curves, view, colours, words)
      if (view.axis === "step" && view.end) layout.xaxis.range = [0, view.end]
      this.values.replaceChildren(...words)
      Plotly.react(this.plot, traces, layout, CONFIG)
      if (!this.made) this.listen()
      this.made = true
      this.revision = layout.uirevision
      this.describe(words)
    })
  }

  listen() {
    this.plot.on("plotly_relayout", () => {
      this.redraw()
      this.onZoom?.(this)
    })
    this.plot.on("plotly_hover", ({ xvals }) => this.onHover?.(xvals[0]))
    this.plot.on("plotly_unhover", () => this.onHover?.(null))
  }

  redraw() {
    if (this.last) this.draw(...this.last)
  }

  /** Show the cursor of another chart at the same place; null takes it away. */
  point(x) {
    if (!this.made || !this.visible) return
    if (x === null) window.Plotly.Fx.unhover(this.plot)
    else window.Plotly.Fx.hover(this.plot, { xval: x, yval: 0 }, "xy", true)
  }

  /** The stretch of the x axis that the user chose, or null while all is in sight. */
  get zoom() {
    const axis = this.made ? this.plot.layout.xaxis : null
    if (!axis?.range || axis.autorange || this.revision !== this.revisionOf(this.last[1])) return null
    const [low, high] = axis.range
    const columns = this.series()[0]
    const x = columns?.[this.last[1].axis]
    if (!x?.length || (low <= x[0] && high >= x[x.length - 1])) return null
    return [low, high]
  }

  /** Plotly keeps what the user zoomed for as long as this stays the same. */
  revisionOf({ axis }) {
    return `${axis} ${this.log}`
  }

  series() {
    const [curves] = this.last
    return Object.keys(SERIES).flatMap((tail) => curves.get(this.path + tail) ?? [])
  }

  /** Steps of the zoomed stretch of a bucketed curve that is not yet held in detail, or null. */
  lacking() {
    if (!this.last || !this.zoom) return null
    const [curves, { axis }] = this.last
    const [low, high] = this.zoom
    for (const tail of Object.keys(SERIES)) {
      const columns = curves.detailed(this.path + tail)
      if (!columns?.bucketed) continue
      const end = columns.step.length - 1
      const from = columns.step[Math.max(firstAt(columns[axis], low) - 1, 0)]
      const last = columns.step[Math.min(firstAt(columns[axis], high), end)]
      // what came live since is all there
      const to = Math.min(last, columns.bucketedTo)
      if (from >= to || (columns.fine && columns.from <= from && columns.to >= to)) continue
      return { paths: Object.keys(SERIES).map((each) => this.path + each), from, to }
    }
    return null
  }

  describe(words) {
    const said = words.map((word) => word.textContent).join(", ")
    this.plot.setAttribute("role", "img")
    this.plot.setAttribute("aria-label", `${this.about.title}: ${said || "no values yet"}.`)
  }

  traces(curves, view, colours) {
    const traces = []
    const words = []
    const zoom = this.zoom
    for (const [tail, { word, colour }] of Object.entries(SERIES)) {
      const columns = curves.detailed(this.path + tail)
      if (!columns?.value.length) continue
      const { value } = columns
      const made = tail === "" && this.path.startsWith("quality/") ? "samples" : colour
      const hex = colours[made]
      const shown = inSight(columns[view.axis], zoom)
      const kept = [
        ...thinned(value, undefined, 0, shown[0]),
        ...thinned(value, undefined, ...shown),
        ...thinned(value, undefined, shown[1], value.length),
      ]
      const x = kept.map((row) => columns[view.axis][row])
      const canDraw = (y) => Number.isFinite(y) && !(this.log && y <= 0)
      const raw = kept.map((row) => (canDraw(value[row]) ? value[row] : null))
      const name = word || this.about.title
      const smooth = kept.length >= SMOOTH_FROM && view.smoothing > 0
      traces.push({
        x, y: raw, name, mode: kept.length < 8 ? "lines+markers" : "lines",
        line: { color: smooth ? faded(hex, 0.28) : hex, width: smooth ? 1 : 1.6 },
        marker: { size: 5 }, hovertemplate: `%{y:.4g}<extra>${word}</extra>`,
      })
      if (smooth) {
        // the same share of the picture is averaged, however many points there are
        const weight = view.smoothing ** Math.min(1, SMOOTH_POINTS / value.length)
        const all = smoothed(value, weight, this.log)
        traces.push({
          x, y: kept.map((row) => (canDraw(all[row]) ? all[row] : null)), name, mode: "lines",
          line: { color: hex, width: 1.8 }, hoverinfo: "skip",
        })
      }
      const lost = [...value.keys()].filter((row) => !canDraw(value[row]))
      if (lost.length) traces.push(marks(lost, columns, view.axis, hex))
      const last = document.createElement("span")
      last.style.color = hex
      last.textContent = `${word} ${figure(value[value.length - 1])}`.trim()
      last.title = String(value[value.length - 1])
      words.push(last)
      const infinite = lost.filter((row) => !Number.isFinite(value[row])).length
      if (infinite) words.push(quiet(`${infinite} not finite`))
      if (lost.length > infinite) words.push(quiet(`${lost.length - infinite} not above 0`))
      const drawn = kept.filter((row) => row >= shown[0] && row < shown[1]).length
      const first = columns.step[shown[0]]
      const fine = first >= columns.bucketedTo || (columns.fine && columns.from <= first)
      if ((columns.bucketed && !fine) || drawn < shown[1] - shown[0]) words.push(quiet("bucketed"))
    }
    if (zoom) words.push(quiet("double-click for all"))
    return { traces, words }
  }

  /** Dotted reference lines, with their words, and the moment looked back at. */
  lines(curves, view, colours, words) {
    const shapes = []
    for (const [tail, word] of Object.entries(LINES)) {
      const value = curves.last(this.path + tail)
      if (!Number.isFinite(value) || (this.log && value <= 0)) continue
      shapes.push({
        type: "line", xref: "paper", x0: 0, x1: 1, y0: value, y1: value,
        line: { color: colours.muted, width: 1.2, dash: "dot" },
      })
      words.push(quiet(`${word} ${figure(value)}`))
    }
    if (view.cursor !== null && view.cursor !== undefined) {
      shapes.push({
        type: "line", yref: "paper", y0: 0, y1: 1, x0: view.cursor, x1: view.cursor,
        line: { color: colours.accent, width: 1.2 },
      })
    }
    return shapes
  }
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
    yaxis: "y2", name: "cannot be drawn", mode: "markers",
    text: some.map((row) => figure(columns.value[row])),
    marker: {
      color: colour, size: 7,
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
