// Curves: which are shown, on which axis, how smooth, how far in; one cursor and one zoom for all.
// What was chosen stands in the page's address.

import { AXES, Chart } from "./chart.js"
import { isOfSystem, SystemCharts } from "./system_charts.js"
import { choicesFrom, linkedCharts, metricNamed, pathsToChart, SMOOTHING } from "./board_choices.js"
import { fromAddress, keepInAddress, make, segments } from "../parts/dom.js"
import { exporter, saveFrom } from "../parts/figures/export.js"
import { count, duration, figure } from "../parts/formatting.js"
import { COSTS, firstAt } from "../stream/curves.js"

const LEAST_GAP = 80
const UNCOUNTED = {
  gradients: "The method follows no gradient of an energy.",
  joules: "Nothing here measures joules (NVML or RAPL counters).",
}

export class Board {
  /**
   * `source`: {title, headline: [paths], most: how many of them, about(path), paths() that can be
   * charted, ready() once they are known, canPlace(path), lines(path): [{key, name, colour, dash,
   * members, isReference, hiddenBy}] where a member is {run, path, columns, curves} and a reference
   * is drawn thin, without a word of its own, references(path): [{word, value}], end(axis): where
   * the axis will end, costs(): those counted, range(run, paths, from, to): fetch them in full,
   * tableAddress(members, path), wholeAddress(): of a table of every curve}; and, where there are
   * any, axis: the one shown at first, marks(axis): [{x, words, colour}], cursorAt(what is looked
   * back at, axis).
   */
  constructor(source) {
    this.source = source
    this.charts = new Map()
    this.others = []
    this.version = 0
    this.firstAxis = source.axis ?? "step"
    Object.assign(this, choicesFrom(fromAddress, this.firstAxis))
    this.costs = new Set(COSTS)
    this.build()
  }

  /** The axis shown: gradients and joules only where some were counted. */
  get axis() {
    return this.costs.has(this.chosenAxis) ? this.chosenAxis : "step"
  }

  build() {
    this.axes = segments(AXES, this.chosenAxis, (axis) => this.chooseAxis(axis), "x axis")
    this.names = make("datalist", { id: "bl-metrics" })
    this.adder = make("input.bl-adder", {
      type: "search",
      placeholder: "+ metric",
      autocomplete: "off",
      "aria-label": "Add a metric",
    })
    this.adder.setAttribute("list", this.names.id)
    this.adder.onchange = () => this.addChosen()
    this.where = make("span.bl-muted.bl-where")
    this.whole = make("button.bl-quiet", {
      type: "button",
      hidden: !this.zoom,
      textContent: "show all",
      title: "Also a double click in a chart",
    })
    this.whole.onclick = () => this.zoomTo(null)
    this.smoother = make("input", {
      type: "range",
      min: 0,
      max: 0.98,
      step: 0.02,
      value: this.smoothing,
    })
    this.smoother.setAttribute("aria-label", "Smoothing")
    this.smoother.oninput = () => {
      this.smoothing = Number(this.smoother.value)
      keepInAddress("smooth", this.smoothing === SMOOTHING ? null : String(this.smoothing))
      this.change()
    }
    this.title = make("h2", {}, this.source.title)
    this.legend = make("div.bl-legend")
    this.grid = make("div.bl-charts")
    this.system = new SystemCharts(this)
    this.slot = make(
      "section.bl-panel",
      {},
      make(
        "div.bl-row",
        {},
        this.title,
        this.adder,
        this.names,
        make("label.bl-muted.bl-right", {}, "smoothing ", this.smoother),
        make("span.bl-muted", {}, "x axis"),
        this.axes,
        exporter({ csv: () => saveFrom(this.source.wholeAddress()) }, "Export every curve"),
      ),
      // a line of its own: what comes and goes with the pointer moves no chart
      make("div.bl-cursor", {}, this.where, this.whole),
      this.legend,
      this.grid,
      this.system.slot,
    )
  }

  close() {
    this.closed = true
    clearTimeout(this.timer)
    cancelAnimationFrame(this.request)
    for (const chart of this.charts.values()) chart.close()
  }

  // ------------------------------------------------------------------ when it is drawn

  /** Everything looks different from now on. */
  change() {
    this.version++
    this.ask()
  }

  /** Draw soon: at once when it has been quiet, else as often as leaves the page time for more. */
  ask() {
    if (this.timer || this.request || this.closed) return
    const wait = Math.max((this.next ?? 0) - performance.now(), 0)
    this.timer = setTimeout(() => {
      this.timer = null
      this.request = requestAnimationFrame(() => {
        this.request = null
        const began = performance.now()
        this.draw()
        const now = performance.now()
        this.next = now + Math.max(LEAST_GAP, 1.5 * (now - began))
      })
    }, wait)
  }

  draw() {
    this.pickCharts()
    this.costs = this.source.costs()
    for (const [axis, reason] of Object.entries(UNCOUNTED)) {
      this.axes.disable(axis, this.costs.has(axis) ? "" : reason)
    }
    for (const chart of this.charts.values()) chart.draw()
  }

  /** The step looked back at, or null. */
  lookAt(step) {
    if (this.at === step) return
    this.at = step
    this.change()
  }

  get cursor() {
    if (this.at === null || this.at === undefined) return null
    return this.source.cursorAt ? this.source.cursorAt(this.at, this.axis) : this.costAt(this.at)
  }

  // ------------------------------------------------------------------ axis, zoom, what is hidden

  choose(axis) {
    this.axes.choose(axis)
  }

  search() {
    this.adder.focus()
  }

  chooseAxis(axis) {
    const longest = this.longest()
    const moved = (value) => {
      const row = Math.min(firstAt(longest[this.axis], value), longest.step.length - 1)
      return longest[axis][row]
    }
    const zoom = this.zoom && longest?.step.length ? this.zoom.map(moved) : null
    this.chosenAxis = axis
    keepInAddress("axis", axis === this.firstAxis ? null : axis)
    this.zoomTo(zoom && zoom.every(Number.isFinite) && zoom[0] < zoom[1] ? zoom : null)
  }

  /** One stretch of the x axis for all charts; null is all of it. */
  zoomTo(zoom) {
    this.zoom = zoom
    this.whole.hidden = !zoom
    keepInAddress("zoom", zoom && zoom.map((value) => Number(value.toPrecision(7))).join(","))
    if (!zoom) this.stretch(null)
    this.change()
  }

  /** The y range that was chosen for a chart; null forgets all. */
  stretch(path, range) {
    if (path === null) this.heights.clear()
    else this.heights.set(path, range)
    const short = (value) => Number(value.toPrecision(5))
    keepInAddress(
      "y",
      [...this.heights]
        .map(([name, [low, high]]) => `${name}~${short(low)}~${short(high)}`)
        .join(","),
    )
  }

  toggle(set, name, key) {
    if (!set.delete(key)) set.add(key)
    keepInAddress(name, [...set].join(","))
    this.change()
  }

  isLog(path) {
    return Boolean(this.source.about(path).log) !== this.turned.has(path)
  }

  turn(path) {
    this.heights.delete(path)
    this.toggle(this.turned, "log", path)
  }

  /** The place of a step on the present axis. */
  costAt(step) {
    if (this.axis === "step") return step
    const longest = this.longest()
    const row = longest ? firstAt(longest.step, step) : 0
    return row > 0 && row < longest.step.length ? longest[this.axis][row] : null
  }

  longest() {
    const all = [...this.charts.keys()].flatMap((path) =>
      this.source.lines(path).flatMap((line) => line.members.map((member) => member.columns)),
    )
    return all.reduce(
      (best, columns) => (columns.step.length > (best?.step.length ?? 0) ? columns : best),
      null,
    )
  }

  /** A curve that was thinned on its way here is fetched in full where the user zooms in. */
  fetchDetail(chart) {
    for (const { run, paths, from, to, key } of chart.lacking()) {
      if (chart.fetched.has(key)) continue
      chart.fetched.add(key)
      setTimeout(() => this.source.range(run, paths, from, to), 120)
    }
  }

  // ------------------------------------------------------------------ one cursor

  /** One cursor in all charts, and all costs of the place where it stands. */
  point(from, x) {
    for (const chart of this.charts.values()) if (chart !== from) chart.point(x)
    this.where.textContent = x === null ? "" : this.costsAt(from, x)
  }

  costsAt(chart, x) {
    const columns = chart.lines()[0]?.members[0]?.columns
    if (!columns?.value.length) return ""
    const row = Math.min(firstAt(columns[this.axis], x), columns.value.length - 1)
    const joules = columns.joules[row]
    return [
      `step ${count(columns.step[row])}`,
      ...(columns.gradients[row] ? [`${count(columns.gradients[row])} gradients`] : []),
      duration(columns.seconds[row]),
      ...(Number.isFinite(joules) ? [`${figure(joules)} J`] : []),
    ].join(" · ")
  }

  // ------------------------------------------------------------------ which charts

  /** The headline charts, in their order; others are one choice away. */
  pickCharts() {
    const all = this.source.paths()
    this.system.offer(all.filter(isOfSystem))
    const known = all.filter((path) => !isOfSystem(path))
    if (!this.chosen && this.source.ready()) {
      const open = [...this.charts.keys()].filter((path) => !isOfSystem(path))
      const { paths, isWhole } = pathsToChart(this.source, linkedCharts(fromAddress), open)
      for (const path of paths) this.addChart(path)
      this.chosen = isWhole
    }
    this.others = known.filter((path) => !this.charts.has(path)).sort()
    const key = this.others.join()
    if (key === this.listed) return
    this.listed = key
    this.names.replaceChildren(
      ...this.others.map((path) =>
        make("option", { value: path, label: this.source.about(path).title }),
      ),
    )
  }

  /** Add what was chosen: a path or a title, or the only one that holds the words. */
  addChosen() {
    const words = this.adder.value.trim()
    if (!words) return
    const { path, problem } = metricNamed(words, this.others, this.source.about)
    this.adder.setCustomValidity(problem)
    this.adder.reportValidity()
    if (!path) return
    this.adder.value = ""
    this.addChart(path)
    this.keepCharts()
    this.change()
  }

  addChart(path, grid = this.grid) {
    if (!this.charts.has(path)) this.charts.set(path, new Chart(grid, path, this))
  }

  remove(path) {
    this.charts.get(path).close()
    this.charts.delete(path)
    this.keepCharts()
    this.change()
  }

  keepCharts() {
    this.chosen = true
    const paths = [...this.charts.keys()].filter((path) => !isOfSystem(path))
    keepInAddress("charts", paths.join(","))
  }
}
