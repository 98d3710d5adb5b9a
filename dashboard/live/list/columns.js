// The columns that a list of runs can have: figures, settings, costs, and what a run is.

import { count, duration, figure } from "../parts/formatting.js"
import { BOOKKEEPING, COMPANION_ENDING } from "../parts/vocabulary.js"

export const DEFAULT = ["trend", "headline", "gradients", "seconds", "joules", "created"]
export const FIGURE = "f:"
export const SETTING = "s:"
const SERIES = ["", "/long_run", "/train_time"]
const MOMENT = {
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
}

/** True for a tag that Basin gives by itself. */
export const isBookkeeping = (tag) =>
  BOOKKEEPING.some((start) => tag === start || (start.endsWith(":") && tag.startsWith(start)))

/** A run's value of a chart, whichever series it has: {path, value}, or null. */
export function figureOf(run, chart) {
  for (const ending of SERIES) {
    const value = run.figures?.[chart + ending]
    if (Number.isFinite(value)) return { path: chart + ending, value }
  }
  const best = run.headline
  return best && best.path.replace(COMPANION_ENDING, "") === chart ? best : null
}

/** The chart of a run's headline, or "". */
export const headlineChart = (run) => run.headline?.path.replace(COMPANION_ENDING, "") ?? ""

const costs = {
  gradients: ["gradients", (run) => run.gradients, count],
  seconds: ["time", (run) => run.seconds, duration],
  joules: ["joules", (run) => run.joules, joules],
  step: ["steps", (run) => run.step, count],
}
const about = {
  created: ["when", (run) => run.created, moment],
  by: ["by", (run) => run.by ?? "", String],
  device: ["device", (run) => run.device, String],
  method: ["method", (run) => run.method.replaceAll("_", " "), String],
  preset: ["preset", (run) => run.preset.replaceAll("_", " "), String],
  seed: ["seed", (run) => run.seed, String],
  tags: ["tags", (run) => run.tags.filter((tag) => !isBookkeeping(tag)).join(", "), String],
  note: ["note", (run) => run.note.split("\n")[0].slice(0, 60), String],
}

function joules(value) {
  return value < 1000 ? `${figure(value)} J` : `${figure(value / 1000)} kJ`
}

function moment(seconds) {
  return new Date(seconds * 1000).toLocaleString("en-GB", MOMENT)
}

/** A setting as people read it: yes, no, none, a number, a word. */
export function settingInWords(value) {
  if (value === null) return "none"
  if (typeof value === "boolean") return value ? "yes" : "no"
  return typeof value === "number" ? figure(value) : String(value).replaceAll("_", " ")
}

/** The columns of the runs seen so far. `figures`: title, unit and better end by path. */
export class Columns {
  constructor(figures) {
    this.figures = figures
    this.charts = new Set()
    this.settings = new Map()
    this.all = new Map()
    this.add({ key: "trend", title: "", kind: "about", name: "sparkline" })
    this.add({
      ...this.figureColumn("headline", ""),
      key: "headline",
      title: "figure",
      name: "each method's own figure",
    })
    for (const [kind, table] of Object.entries({ cost: costs, about })) {
      for (const [key, [title, value, words]] of Object.entries(table)) {
        this.add({ key, title, kind, value, words, better: kind === "cost" ? "lower" : "" })
      }
    }
  }

  add(column) {
    this.all.set(column.key, column)
  }

  /** Take note of what a run has. */
  learn(run) {
    for (const path of Object.keys(run.figures ?? {})) {
      if (/\/(floor|goal)$/.test(path)) continue
      const chart = path.replace(COMPANION_ENDING, "")
      if (this.charts.has(chart)) continue
      this.charts.add(chart)
      this.add(this.figureColumn(FIGURE + chart, chart))
    }
    for (const name of Object.keys(run.settings ?? {})) {
      if (!this.settings.has(name)) this.learnSetting(name)
    }
  }

  learnSetting(name) {
    const last = name.split(".").at(-1)
    const rivals = [...this.settings.keys()].filter((other) => other.split(".").at(-1) === last)
    this.settings.set(name, last)
    // names alone where they tell apart, with what they belong to where not
    for (const one of [...rivals, name]) {
      const words = (rivals.length ? one : last).replaceAll("_", " ").replaceAll(".", " ")
      const value = (run) => run.settings?.[one]
      const key = SETTING + one
      this.add({ key, title: words, kind: "setting", value, words: settingInWords, better: "" })
    }
  }

  figureColumn(key, chart) {
    const { title, unit, better } = this.figures[chart] ?? {}
    return {
      key,
      chart,
      kind: "figure",
      title: title ?? chart,
      unit: unit ?? "",
      better: better ?? "",
      value: (run) => (chart ? figureOf(run, chart)?.value : run.headline?.value),
      words: figure,
    }
  }

  get(key) {
    return this.all.get(key)
  }

  /** Columns of a kind, by title. */
  of(kind) {
    return [...this.all.values()]
      .filter((column) => column.kind === kind)
      .sort((a, b) => (a.name ?? a.title).localeCompare(b.name ?? b.title))
  }

  /** Keys of settings that have several values among runs. */
  differing(runs) {
    return [...swept(runs).keys()]
      .filter((name) => this.all.has(SETTING + name))
      .map((n) => SETTING + n)
  }
}

/** The settings that differ among runs: name -> values, numbers in their order. */
export function swept(runs) {
  const values = new Map()
  for (const run of runs) {
    const settings = {
      dataset: run.dataset,
      method: run.method,
      preset: run.preset,
      ...run.settings,
    }
    for (const [name, value] of Object.entries(settings)) {
      if (!values.has(name)) values.set(name, new Set())
      values.get(name).add(value)
    }
  }
  const differing = [...values].filter(([, set]) => set.size > 1)
  return new Map(differing.map(([name, set]) => [name, [...set].sort(inOrder)]))
}

/** Compare values of one column: numbers before words, nothing last. */
export function inOrder(a, b) {
  const [p, q] = [a ?? null, b ?? null]
  if (p === null || q === null) return (p === null) - (q === null)
  if (typeof p === "number" && typeof q === "number") return p - q
  if (typeof p !== typeof q) return typeof p === "number" ? -1 : 1
  return String(p).localeCompare(String(q))
}
