// Curves with Plotly: one figure a chart, created once; updates only change its data.

import { coloursOf, faded } from "../parts/colours.js"
import { drawn, make } from "../parts/dom.js"
import { exporter, saveFrom, svgWays } from "../parts/figures/export.js"
import { runName } from "../parts/figures/figure.js"
import { figure } from "../parts/formatting.js"
import { figureOf } from "./chart_figure.js"
import { plotly } from "./plotly.js"
import { firstAt } from "../stream/curves.js"
import { rangeOf, tracesOf } from "./traces.js"

const MOST_NAMED = 4
const NAMED_HEIGHT = 16 // pixels
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
function layoutOf(colours, { log, height }) {
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
    margin: { l: 46, r: 10, t: 6, b: 20 },
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
      nticks: 5, // the board above says what they are of
    },
    yaxis: {
      ...axis,
      type: log ? "log" : "linear",
      nticks: log ? 3 : 5, // of more it names all nine of a decade, one over the other
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
    remove.setAttribute("aria-label", `Remove ${this.about.title}`)
    remove.onclick = () => board.remove(path)
    const name = path.replaceAll("/", "-")
    const files = svgWays(
      () => name,
      () => this.figure(),
    )
    const ways = exporter({ ...files, csv: () => this.table() }, `Export ${this.about.title}`)
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
    const compared = this.board.source.compared?.(this.path) ?? ""
    this.unit.textContent = [this.unitWords(), compared].filter(Boolean).join(" · ")
    this.log.textContent = this.board.isLog(this.path) ? "linear" : "log"
    this.log.setAttribute("aria-label", `${this.log.textContent} axis of ${this.about.title}`)
  }

  unitWords() {
    const log = this.board.isLog(this.path) && "log"
    return [this.about.unit, log].filter(Boolean).join(", ")
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
      if (columns.liveFrame) drawn(this.plot, { run, path, kind: "scalar", ...columns.liveFrame })
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
      height: this.plot.clientHeight || 158,
    })
    const end = board.source.end(board.axis)
    if (board.zoom) layout.xaxis.range = [...board.zoom]
    else if (end) layout.xaxis.range = [0, end]
    if (board.heights.has(path)) layout.yaxis.range = [...board.heights.get(path)]
    const words = []
    this.bucketed = false
    const notes = new Set()
    const traces = lines.flatMap((line) => this.traces(line, lines, log, colours, words, notes))
    words.push(...[...notes].map(quiet))
    const height = rangeOf(traces, {
      zoom: board.zoom,
      log,
      references: references.map(({ value }) => value),
    })
    if (height && !board.heights.has(path)) layout.yaxis.range = height
    if (this.bucketed) words.push(quiet("bucketed"))
    layout.shapes = this.marked(references, log, colours, words)
    layout.annotations = this.named(colours)
    this.values.replaceChildren(...words)
    window.Plotly.react(this.plot, traces, layout, CONFIG)
    if (!this.made) this.listen()
    this.made = true
    const summary = words.map((word) => word.textContent).join(", ")
    this.plot.setAttribute("role", "img")
    this.plot.setAttribute("aria-label", `${this.about.title}: ${summary || "no values yet"}.`)
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

  /** The traces of a line; `words` and `notes` take what is said of it above the plot. */
  traces(line, lines, log, colours, words, notes) {
    const members = line.members.filter(({ columns }) => columns.value.length)
    if (!members.length) return []
    const { axis, zoom, smoothing, hidden } = this.board
    const isHidden = hidden.has(line.hiddenBy ?? line.key)
    const isCrowded = lines.filter((each) => !each.isReference).length > CROWD
    if (!isCrowded && !line.isReference) {
      const last = members.map(({ columns }) => columns.value.at(-1)).sort((a, b) => a - b)
      const middle = last[Math.floor(last.length / 2)]
      words.push(this.word(line, middle, line.colour(colours), isHidden))
    }
    if (isHidden) return []
    const view = { axis, zoom, smoothing, log, title: this.about.title, isCrowded }
    const drawn = tracesOf(line, members, view, colours)
    this.bucketed ||= drawn.isBucketed
    for (const note of drawn.notes) notes.add(note)
    return drawn.traces
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

  /** The words of the last few marks, one under the other, towards the middle of the chart. */
  named(colours) {
    const end = this.board.source.end(this.board.axis) ?? 0
    return this.marks()
      .slice(-MOST_NAMED)
      .map(({ x, words, colour }, row) => ({
        x,
        yref: "paper",
        y: 1,
        yshift: -NAMED_HEIGHT * row,
        text: words.replace(/[<>&]/g, " "),
        showarrow: false,
        xanchor: x > end / 2 ? "right" : "left",
        yanchor: "top",
        xshift: x > end / 2 ? -2 : 2,
        font: { size: 11.5, color: colour(colours) },
        bgcolor: faded(colours.bg, 0.8),
      }))
  }

  // ------------------------------------------------------------------ as a file

  /** The chart as a figure for a paper: SVG text and its size. */
  async figure() {
    const { board, path, plot, about } = this
    const { data, layout } = figureOf(plot, {
      title: about.title,
      subtitle: [runName(), board.source.compared?.(path)].filter(Boolean).join(" · "),
      unit: this.unitWords(),
      axis: AXES[board.axis],
      references: board.source.references(path),
      width: plot.clientWidth,
      colours: coloursOf(this.slot),
    })
    const address = await window.Plotly.toImage({ data, layout }, { format: "svg" })
    return { svg: await (await fetch(address)).text(), size: [layout.width, layout.height] }
  }

  /** Every point, from the server: the page may hold fewer. */
  table() {
    const members = this.lines()
      .filter((line) => !this.board.hidden.has(line.key))
      .flatMap((line) => line.members)
    saveFrom(this.board.source.tableAddress(members, this.path))
  }
}

function quiet(text) {
  const word = document.createElement("span")
  word.className = "bl-muted"
  word.textContent = text
  return word
}
