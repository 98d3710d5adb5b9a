// The curves of one run: which are shown, on which axis, with one cursor for all of them.

import { AXES, Chart } from "./charts.js"
import { fromAddress, keepInAddress, make, segments } from "./dom.js"
import { count, duration, figure } from "./numbers.js"
import { COSTS, firstAt } from "./series.js"

const TAILS = /\/(long_run|train_time|floor|goal|clip)$/
const NUM_HEADLINES = 4
const SMOOTHING = 0.7
const NO_JOULES = "Nothing here measures joules (NVML or RAPL counters)."

export class Learning {
  /** `askRange(paths, from, to)`: have these curves sent between two steps at full resolution. */
  constructor(curves, settings, askRange) {
    Object.assign(this, { curves, settings, askRange })
    this.charts = new Map()
    this.others = []
    this.view = {}
    /** whether all that was said so far is here */
    this.ready = false
    this.axis = COSTS.includes(fromAddress("axis")) ? fromAddress("axis") : "step"
    this.axes = segments(AXES, this.axis, (axis) => this.chooseAxis(axis), "x axis")
    this.names = make("datalist", { id: "bl-metrics" })
    this.adder = make("input.bl-adder", {
      type: "search", placeholder: "+ metric", autocomplete: "off",
      "aria-label": "Add a metric",
    })
    this.adder.setAttribute("list", this.names.id)
    this.adder.onchange = () => this.addChosen()
    this.where = make("span.bl-muted")
    this.grid = make("div.bl-charts")
    this.slot = make("section.bl-panel", {},
      make("div.bl-row", {}, make("h3", {}, "Learning"), this.adder, this.names, this.where,
        make("span.bl-muted.bl-right", {}, "x axis"), this.axes),
      this.grid)
  }

  close() {
    for (const chart of this.charts.values()) chart.close()
  }

  choose(axis) {
    this.axes.choose(axis)
  }

  search() {
    this.adder.focus()
  }

  chooseAxis(axis) {
    this.axis = axis
    keepInAddress("axis", axis === "step" ? null : axis)
    this.draw(this.view, true)
  }

  /**
   * view: {end: the budget's steps, at: the step looked back at, over: whether the run is over}.
   * All, or only what is new.
   */
  draw(view, all = false) {
    this.view = view
    if (!all && this.drawn === this.curves.version) return
    this.drawn = this.curves.version
    this.pickCharts()
    const { hasJoules } = this.curves
    this.axes.disable("joules", hasJoules ? "" : NO_JOULES)
    if (this.axis === "joules" && !hasJoules) this.axis = "step"
    const shown = {
      axis: this.axis,
      smoothing: SMOOTHING,
      end: view.end,
      cursor: view.at === undefined ? null : this.costAt(view.at),
    }
    for (const chart of this.charts.values()) {
      chart.draw(this.curves, shown)
      this.fetchDetail(chart)
    }
  }

  /** Where a step lies on the axis shown. */
  costAt(step) {
    if (this.axis === "step") return step
    for (const columns of this.curves.paths.values()) {
      const row = firstAt(columns.step, step)
      if (row > 0 && row < columns.step.length) return columns[this.axis][row]
    }
    return null
  }

  // ------------------------------------------------------------------ zoom and cursor

  /** A curve that was thinned on its way here is fetched in full where the user zooms in. */
  fetchDetail(chart) {
    const lacking = chart.lacking()
    const key = lacking && `${lacking.from} ${lacking.to} ${this.curves.epoch}`
    if (!lacking || chart.fetched === key) return
    clearTimeout(chart.fetching)
    chart.fetching = setTimeout(() => {
      chart.fetched = key
      this.askRange(lacking.paths, lacking.from, lacking.to)
    }, 150)
  }

  /** One cursor in all charts, and all costs of the place where it stands. */
  point(from, x) {
    for (const chart of this.charts.values()) if (chart !== from) chart.point(x)
    this.where.textContent = x === null ? "" : this.costsAt(from, x)
  }

  costsAt(chart, x) {
    const columns = chart.series()[0]
    if (!columns?.value.length) return ""
    const row = Math.min(firstAt(columns[this.axis], x), columns.value.length - 1)
    const joules = columns.joules[row]
    return [
      `step ${count(columns.step[row])}`,
      `${count(columns.gradients[row])} gradients`,
      duration(columns.seconds[row]),
      ...(Number.isFinite(joules) ? [`${figure(joules)} J`] : []),
    ].join(" · ")
  }

  // ------------------------------------------------------------------ which charts

  /**
   * The headline charts, in their order; others are one choice away. A floor or goal, said at the
   * start, is enough to keep the place of a chart whose first value takes a while.
   */
  pickCharts() {
    const known = new Set([...this.curves.paths.keys()].map((path) => path.replace(TAILS, "")))
    const fed = [...known].filter((path) =>
      ["", "/train_time", "/long_run"].some((tail) => this.curves.get(path + tail)?.value.length))
    if (!this.chosen && this.ready && fed.length) {
      const asked = fromAddress("charts")
      const wanted = asked ? asked.split(",") : this.settings.headline
      const most = asked ? 24 : NUM_HEADLINES
      for (const path of wanted) {
        const here = this.view.over ? fed.includes(path) : known.has(path)
        if (here && this.charts.size < most) this.addChart(path)
      }
      this.chosen = this.charts.size === Math.min(wanted.length, most)
    }
    this.others = fed.filter((path) => !this.charts.has(path)).sort()
    const key = this.others.join()
    if (key === this.listed) return
    this.listed = key
    this.names.replaceChildren(
      ...this.others.map((path) => make("option", { value: path, label: this.about(path).title })))
  }

  about(path) {
    return this.settings.figures[path] ?? { title: path }
  }

  /** Add what was chosen: a path or a title, or the only one that holds the words. */
  addChosen() {
    const words = this.adder.value.trim().toLowerCase()
    if (!words) return
    const said = (path) => [path, this.about(path).title.toLowerCase()]
    const exact = this.others.filter((path) => said(path).includes(words))
    const near = this.others.filter((path) => said(path).some((text) => text.includes(words)))
    const [path] = exact.length ? exact : near.length === 1 ? near : []
    this.adder.setCustomValidity(path ? "" : near.length ? "Several metrics fit." : "No such metric.")
    this.adder.reportValidity()
    if (!path) return
    this.adder.value = ""
    this.addChart(path)
    this.keepCharts()
    this.draw(this.view, true)
  }

  addChart(path) {
    if (this.charts.has(path)) return
    const chart = new Chart(this.grid, path, this.about(path), {
      onRemove: () => {
        chart.close()
        this.charts.delete(path)
        this.keepCharts()
        this.draw(this.view, true)
      },
      onZoom: () => this.fetchDetail(chart),
      onHover: (x) => this.point(chart, x),
    })
    this.charts.set(path, chart)
  }

  keepCharts() {
    this.chosen = true
    keepInAddress("charts", [...this.charts.keys()].join(","))
  }
}
