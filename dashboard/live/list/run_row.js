// One row of the list of runs: a run, or several that were launched together.

import { faded } from "../parts/colours.js"
import { make } from "../parts/dom.js"
import { count, figure } from "../parts/formatting.js"
import { statusWord } from "../parts/status.js"
import { STATUSES } from "../parts/vocabulary.js"
import { paintField } from "../pictures/drawing/field.js"
import { drawGrid } from "../pictures/drawing/images.js"
import { placing, rangesOf, sized } from "../pictures/drawing/plane.js"
import { paintDots } from "../pictures/drawing/points.js"
import { figureOf, headlineChart, inOrder } from "./columns.js"
import { bestOf, groupInWords, memberInWords } from "./grouping.js"
import { dots, sparkline } from "./sparkline.js"

const SIDE = 40
const GOING = ["running", "queued", "paused"]

export class RunRow {
  /** `on`: {select(row, isOn, isRange), open(row)}. */
  constructor(on) {
    this.box = make("input", { type: "checkbox" })
    this.box.onclick = (event) => on.select(this.row, this.box.checked, event.shiftKey)
    this.canvas = make("canvas", { width: SIDE, height: SIDE })
    this.picture = make("a.bl-thumb", { "aria-hidden": "true" }, this.canvas)
    this.picture.tabIndex = -1
    this.fold = make("button.bl-fold", { type: "button" })
    this.fold.onclick = () => on.open(this.row)
    this.name = make("a.bl-name")
    this.facts = make("div.bl-muted")
    this.who = make(
      "div.bl-who",
      { role: "cell" },
      make("div.bl-names", {}, this.fold, this.name),
      this.facts,
    )
    this.state = make("div.bl-state", { role: "cell" })
    this.element = make("div.bl-run", { role: "row" })
  }

  /** Write a row; `context`: {key, columns, figures, selected, place(run), group(run)}. */
  fill(row, context) {
    this.row = row
    const { runs } = row
    const [run] = runs
    const isGroup = row.opened !== null
    const numSelected = runs.filter(({ id }) => context.selected.has(id)).length
    this.box.checked = numSelected === runs.length
    this.box.indeterminate = numSelected > 0 && numSelected < runs.length
    this.element.classList.toggle("selected", numSelected > 0)
    const isFork = row.isFork
    const key = JSON.stringify([
      row.id,
      row.level,
      isFork,
      row.opened,
      context.key,
      runs.map(stateOf),
    ])
    if (key === this.key) return
    this.key = key
    const words = isGroup
      ? groupInWords(runs, row.level)
      : runInWords(run, isFork ? 0 : row.level, context)
    const name = isGroup && row.level ? memberInWords(run, context.group(run)) : words.name
    this.box.setAttribute("aria-label", `Select ${name}`)
    this.element.dataset.run = row.id
    this.element.dataset.level = row.level
    this.fold.hidden = !isGroup
    this.fold.textContent = row.opened ? "▼" : "▶"
    this.fold.setAttribute("aria-expanded", String(Boolean(row.opened)))
    this.fold.setAttribute("aria-label", `${row.opened ? "Fold" : "Open"} ${name}`)
    this.name.textContent = name
    this.name.title = name
    const best = bestOf(runs, context.columns.find(({ kind }) => kind === "figure") ?? NONE)
    const ids = runs.map(({ id }) => id).slice(0, 64)
    this.name.href = isGroup ? `compare?runs=${ids.join(",")}` : `run?id=${run.id}`
    this.pictured = (best ?? run).id
    this.picture.href = `run?id=${this.pictured}`
    this.facts.textContent = isGroup && row.level ? words.name : words.facts
    this.state.replaceChildren(...stateCell(runs, context))
    const cells = context.columns.map((column) => cellOf(column, row, context))
    const fixed = [this.box, this.picture, this.who, this.state].map((part) =>
      part.getAttribute("role") ? part : make("div", { role: "cell" }, part),
    )
    this.element.replaceChildren(...fixed, ...cells)
  }

  /** Draw the run's picture, as far as its kind can be small. */
  paint(frame, colours) {
    const { canvas } = this
    if (frame.header.kind === "images") drawGrid(canvas, frame, { width: SIDE, count: 9 })
    if (frame.header.kind === "points") paintCloud(canvas, frame, colours)
    if (frame.header.kind !== "field") return
    canvas.width = canvas.height = SIDE * 2
    canvas.style.width = canvas.style.height = `${SIDE}px`
    const context = canvas.getContext("2d")
    context.imageSmoothingQuality = "high"
    context.drawImage(paintField(frame, colours), 0, 0, SIDE * 2, SIDE * 2)
  }
}

/** Points as specks: larger ones run together in so small a picture. */
function paintCloud(canvas, { arrays: { positions } }, colours) {
  const box = { left: 0, top: 0, width: SIDE, height: SIDE }
  const plane = { context: sized(canvas, SIDE, SIDE), place: placing(box, rangesOf(positions)) }
  paintDots(plane, positions, () => faded(colours.samples, 0.7), 0.7)
}

const NONE = { key: "none", value: () => null }

/** What of a run a row shows; a row is written again when it changes. */
function stateOf(run) {
  const { id, title, status, step, fraction, ahead, headline, note, tags, alarms } = run
  return [id, title, status, step, fraction, ahead, headline, note, tags, alarms, run.seconds]
}

function runInWords(run, level, { group }) {
  const made = [run.method, run.preset === "default" ? "" : run.preset]
  const words = made.filter(Boolean).map((word) => word.replaceAll("_", " "))
  const seed = `seed ${run.seed}`
  const origin = run.forked_from
  // there is room for two words: it is of the method of what it was forked from
  if (origin) words.splice(0, 1, `fork of ${origin.run.slice(-4)} at step ${count(origin.step)}`)
  if (!level) return { name: run.title, facts: [...words, seed].join(" · ") }
  const apart = level === 1 ? memberInWords(run, group(run)) : ""
  return { name: apart ? `${apart}, ${seed}` : seed, facts: "" }
}

// ---------------------------------------------------------------------- how far it is

function stateCell(runs, { place }) {
  const counts = new Map()
  for (const { status } of runs) counts.set(status, (counts.get(status) ?? 0) + 1)
  const words = [...counts].sort((a, b) => b[1] - a[1]).map(([status]) => status)
  // what goes on, else what most have come to
  const word = GOING.find((status) => counts.has(status)) ?? words[0]
  const cells = [statusWord(word)]
  if (word === "running" || word === "paused") {
    const done = (run) => (STATUSES[run.status]?.failure ? 1 : run.fraction)
    const bar = make("div")
    bar.style.width = `${(100 * runs.reduce((sum, run) => sum + done(run), 0)) / runs.length}%`
    cells.push(make("div.bl-bar", {}, bar))
  }
  const looks = runs.filter((run) => run.needs_a_look)
  const parts = runs.length > 1 ? others(runs, counts, word) : [alone(runs[0], place)]
  if (looks.length) parts.push(make("span.bl-look", {}, "⚠ needs a look"))
  const alarms = looks.flatMap((run) => run.alarms.map((alarm) => alarm.message))
  const reasons = [...runs.map((run) => run.reason), ...alarms].filter(Boolean)
  const shown = parts.filter(Boolean).flatMap((part, at) => (at ? [" · ", part] : [part]))
  const title = reasons.slice(0, 6).join("\n")
  if (shown.length) cells.push(make("div.bl-muted", { title }, ...shown))
  return cells
}

/** What the other members of a row are: "3 of 5 done", "1 failed". */
function others(runs, counts, word) {
  if (counts.size === 1) return []
  const over = runs.filter((run) => run.status === "finished").length
  const parts = GOING.includes(word) ? [`${over} of ${runs.length} done`] : []
  for (const [status, number] of counts) {
    if (status === word || GOING.includes(status)) continue
    if (status === "finished" && parts.length) continue
    const part = make("span", {}, `${number} ${status}`)
    if (STATUSES[status]?.failure) part.style.color = "var(--bl-alarm)"
    parts.push(part)
  }
  return parts
}

function alone(run, place) {
  if (run.status === "queued") {
    const before = place(run)
    return before < 0 ? "" : before ? `${before} before it` : "next"
  }
  if (run.status === "finished") return ""
  const steps = run.budget.steps ? ` of ${count(run.budget.steps)}` : ""
  return [run.ahead, `${count(run.step)}${steps} steps`].filter(Boolean).join(" · ")
}

// ---------------------------------------------------------------------- cells

function cellOf(column, row, context) {
  if (column.key === "trend") return make("div.bl-trend", { role: "cell" }, trendOf(row, context))
  const text =
    column.kind === "figure" ? figureCell(column, row, context) : plainCell(column, row.runs)
  const name = column.kind === "figure" ? "div.bl-cell.bl-best" : "div.bl-cell"
  return make(name, { role: "cell" }, ...text)
}

function plainCell(column, runs) {
  const values = [...new Set(runs.map((run) => column.value(run)))].filter(
    (value) => value !== undefined && value !== "",
  )
  if (!values.length || (values.length === 1 && values[0] === null && column.kind !== "setting")) {
    return ["–"]
  }
  if (column.kind === "cost" && runs.length > 1) {
    return [
      column.words(values.length && runs.reduce((sum, run) => sum + (column.value(run) ?? 0), 0)),
    ]
  }
  if (values.length === 1)
    return [make("span", { title: String(values[0]) }, column.words(values[0]))]
  if (column.key === "created") return [column.words(Math.max(...values))]
  const title = values.sort(inOrder).slice(0, 20).map(column.words).join(", ")
  return [make("span", { title }, `${values.length} values`)]
}

/** The chart that a figure column shows of a row. */
const chartOf = (column, run) => (column.key === "headline" ? headlineChart(run) : column.chart)

function figureCell(column, { runs, opened }, { figures }) {
  const best = bestOf(runs, column, false, figures)
  if (!best) return [make("span.bl-muted", {}, runs[0].status === "queued" ? "" : "–")]
  const chart = chartOf(column, best)
  const values = runs
    .map((run) => (chartOf(column, run) === chart ? figureOf(run, chart)?.value : null))
    .filter(Number.isFinite)
    .sort((a, b) => a - b)
  const [low, high] = [values[0], values.at(-1)]
  const several = opened !== null && values.length > 1 && figure(low) !== figure(high)
  const text = several ? `${figure(low)} – ${figure(high)}` : figure(column.value(best))
  const about = figures[chart]
  const under = []
  for (const name of ["goal", "floor"]) {
    const value = best.figures?.[`${chart}/${name}`]
    if (Number.isFinite(value)) under.push(`${name} ${figure(value)}`)
  }
  if (column.key === "headline") under.push(about?.title ?? chart)
  return [
    make("b", { title: values.slice(0, 20).join(", ") }, text),
    make(
      "div.bl-muted",
      { title: [about?.title, about?.unit, about?.help].filter(Boolean).join("\n") },
      under.join(" · "),
    ),
  ]
}

function trendOf({ runs, opened }, { columns, figures }) {
  const column = columns.find(({ kind }) => kind === "figure")
  if (opened === null) return sparkline(runs[0].trend ?? [])
  const best = column && bestOf(runs, column, false, figures)
  if (!best) return ""
  const chart = chartOf(column, best)
  const values = runs.map((run) => figureOf(run, chart)?.value).filter(Number.isFinite)
  return dots(values, best.figures?.[`${chart}/goal`], figures[chart]?.log)
}
