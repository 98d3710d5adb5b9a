// Curves with Plotly: one figure a chart, created once; updates only change its data.

import { coloursOf, faded } from "./colours.js"
import { figure } from "./numbers.js"
import { smoothed } from "./series.js"

const MOST_POINTS = 1500
const SMOOTH_FROM = 30
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

/** Rows to draw: all, or the least and greatest of each bucket, so that spikes stay. */
export function thinned(values, most = MOST_POINTS) {
  const num = values.length
  if (num <= most) return Array.from(values, (_, index) => index)
  const buckets = Math.floor(most / 2)
  const found = [0]
  for (let bucket = 0; bucket < buckets; bucket++) {
    const start = Math.floor((bucket * num) / buckets)
    const end = Math.floor(((bucket + 1) * num) / buckets)
    let [low, high] = [start, start]
    for (let i = start; i < end; i++) {
      if (values[i] < values[low]) low = i
      if (values[i] > values[high]) high = i
    }
    for (const row of [Math.min(low, high), Math.max(low, high)]) {
      if (row > found[found.length - 1]) found.push(row)
    }
  }
  if (found[found.length - 1] !== num - 1) found.push(num - 1)
  return found
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
      exponentformat: "power",
    },
  }
}

/** One chart of one run: a path and its companions. */
export class Chart {
  constructor(slot, path, about, { onRemove } = {}) {
    this.path = path
    this.about = about
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
      this.last && this.draw(...this.last)
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
        revision: `${view.axis} ${this.log}`,
      })
      layout.shapes = this.lines(curves, view, colours, words)
      if (view.axis === "step" && view.end) layout.xaxis.range = [0, view.end]
      this.values.replaceChildren(...words)
      Plotly.react(this.plot, traces, layout, { displayModeBar: false, responsive: false })
      this.made = true
      this.describe(words)
    })
  }

  describe(words) {
    const said = words.map((word) => word.textContent).join(", ")
    this.plot.setAttribute("role", "img")
    this.plot.setAttribute("aria-label", `${this.about.title}: ${said || "no values yet"}.`)
  }

  traces(curves, view, colours) {
    const traces = []
    const words = []
    for (const [tail, { word, colour }] of Object.entries(SERIES)) {
      const columns = curves.get(this.path + tail)
      if (!columns?.value.length) continue
      const made = tail === "" && this.path.startsWith("quality/") ? "samples" : colour
      const hex = colours[made]
      const kept = thinned(columns.value)
      const x = kept.map((row) => columns[view.axis][row])
      const finite = (value) => (Number.isFinite(value) && !(this.log && value <= 0) ? value : null)
      const raw = kept.map((row) => finite(columns.value[row]))
      const name = word || this.about.title
      const smooth = kept.length >= SMOOTH_FROM && view.smoothing > 0
      traces.push({
        x, y: raw, name, mode: kept.length < 8 ? "lines+markers" : "lines",
        line: { color: smooth ? faded(hex, 0.28) : hex, width: smooth ? 1 : 1.6 },
        marker: { size: 5 }, hovertemplate: `%{y:.4g}<extra>${name}</extra>`,
      })
      if (smooth) {
        const all = smoothed(columns.value, view.smoothing, this.log)
        traces.push({
          x, y: kept.map((row) => finite(all[row])), name, mode: "lines",
          line: { color: hex, width: 1.8 }, hoverinfo: "skip",
        })
      }
      const lost = columns.value.length - columns.value.filter(Number.isFinite).length
      const last = document.createElement("span")
      last.style.color = hex
      last.textContent = `${word} ${figure(columns.value[columns.value.length - 1])}`.trim()
      last.title = String(columns.value[columns.value.length - 1])
      words.push(last)
      if (lost) words.push(quiet(`${lost} not finite`))
      if (columns.bucketed || kept.length < columns.value.length) {
        words.push(quiet("bucketed"))
      }
    }
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

function quiet(text) {
  const word = document.createElement("span")
  word.className = "bl-muted"
  word.textContent = text
  return word
}
