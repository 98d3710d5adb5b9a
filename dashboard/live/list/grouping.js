// Rows of the list: runs alone, and sweeps and seeds as one row each that can be opened.

import { GROUPS } from "../parts/vocabulary.js"
import { headlineChart, inOrder, swept, settingInWords } from "./columns.js"

/** The tag of the group that a run was launched in, or "". */
export function groupOf(run) {
  return run.tags.find((tag) => GROUPS.some((start) => tag.startsWith(start))) ?? ""
}

/** Runs by the tag of their group; those in none under "". */
export function groupsOf(runs) {
  const groups = new Map()
  for (const run of runs) {
    const tag = groupOf(run)
    if (groups.has(tag)) groups.get(tag).push(run)
    else groups.set(tag, [run])
  }
  return groups
}

/**
 * Rows in order: {id, level, runs, opened (null for a single run), isFork}. Forks stand below what
 * they were forked from, where that has a row of its own.
 * `column`: sorted by, or null for the newest first; `opened`: ids of the rows that are.
 */
export function rowsOf(runs, { fold, opened, column, descending, figures }) {
  const forks = fold ? forksOf(runs) : new Map()
  const nested = new Set([...forks.values()].flat())
  const order = byValue(column, descending, figures, forks)
  const entries = []
  const groups = new Map()
  for (const run of runs) {
    const tag = fold ? groupOf(run) : ""
    if (nested.has(run)) continue
    if (!tag) entries.push([run])
    else if (groups.has(tag)) groups.get(tag).push(run)
    else {
      groups.set(tag, [run])
      entries.push(groups.get(tag))
    }
  }
  const rows = []
  for (const members of sorted(entries, order)) {
    if (members.length === 1) addRun(rows, members[0], 0, forks, order)
    else addGroup(rows, groupOf(members[0]), members, opened, order)
  }
  return rows
}

const rowOf = (id, level, runs, opened = null) => ({ id, level, runs, opened, isFork: false })

/** Forks outside groups by the id of the run outside groups that they were forked from. */
function forksOf(runs) {
  const alone = new Map(runs.filter((run) => !groupOf(run)).map((run) => [run.id, run]))
  const forks = new Map()
  for (const run of alone.values()) {
    const parent = alone.get(run.forked_from?.run)
    // a parent is there before its fork: no circle, whatever the files say
    if (!parent || parent.id >= run.id) continue
    if (forks.has(parent.id)) forks.get(parent.id).push(run)
    else forks.set(parent.id, [run])
  }
  return forks
}

function addRun(rows, run, level, forks, order) {
  rows.push({ ...rowOf(run.id, Math.min(level, 2), [run]), isFork: level > 0 })
  for (const fork of each(forks.get(run.id) ?? [], order))
    addRun(rows, fork, level + 1, forks, order)
}

function addGroup(rows, tag, members, opened, order) {
  rows.push(rowOf(tag, 0, members, opened.has(tag)))
  if (!opened.has(tag)) return
  const settings = combinations(members)
  const isSweepOfSeeds = settings.size > 1 && settings.size < members.length
  for (const [signature, runs] of isSweepOfSeeds ? byBest(settings, order) : []) {
    const id = `${tag}|${signature}`
    if (runs.length === 1) rows.push(rowOf(runs[0].id, 1, runs))
    else {
      rows.push(rowOf(id, 1, runs, opened.has(id)))
      if (opened.has(id)) for (const run of each(runs, order)) rows.push(rowOf(run.id, 2, [run]))
    }
  }
  if (!isSweepOfSeeds) for (const run of each(members, order)) rows.push(rowOf(run.id, 1, [run]))
}

const each = (runs, order) =>
  sorted(
    runs.map((run) => [run]),
    order,
  ).flat()
const byBest = (settings, order) => {
  const places = new Map(sorted([...settings.values()], order).map((runs, place) => [runs, place]))
  return [...settings].sort((a, b) => places.get(a[1]) - places.get(b[1]))
}

/** Members of a group by the values of what differs among them. */
export function combinations(members) {
  const names = [...swept(members).keys()]
  const settings = new Map()
  for (const run of members) {
    const all = { dataset: run.dataset, method: run.method, preset: run.preset, ...run.settings }
    const signature = JSON.stringify(names.map((name) => all[name] ?? null))
    if (!settings.has(signature)) settings.set(signature, [])
    settings.get(signature).push(run)
  }
  return settings
}

function sorted(entries, order) {
  const keyed = entries.map((runs) => ({ runs, key: order.key(runs) }))
  return keyed.sort((a, b) => order.compare(a.key, b.key)).map(({ runs }) => runs)
}

/** How rows are put in order: a row's key is that of its best run, or of its newest fork. */
function byValue(column, descending, figures, forks) {
  if (!column) {
    const key = (runs) =>
      runs.reduce((most, { id, created }) => Math.max(most, created, key(forks.get(id) ?? [])), 0)
    return { key, compare: (a, b) => b - a }
  }
  const sign = descending ? -1 : 1
  const key = (runs) => {
    const run = bestOf(runs, column, descending, figures)
    // figures of different kinds are not compared with each other
    return run && [column.key === "headline" ? headlineChart(run) : "", column.value(run)]
  }
  return {
    key,
    compare: (a, b) => {
      if (!a || !b) return !a - !b
      return a[0] === b[0] ? sign * inOrder(a[1], b[1]) : a[0] < b[0] ? -1 : 1
    },
  }
}

/** The run of a row that stands for it: the best by a column, null where none has a value. */
export function bestOf(runs, column, descending = false, figures = {}) {
  const has = runs.filter((run) => (column.value(run) ?? "") !== "")
  if (!has.length) return null
  const chart = column.key === "headline" ? headlineChart(has[0]) : column.chart
  const better = figures[chart]?.better ?? column.better
  const sign = better === "higher" ? -1 : better === "lower" ? 1 : descending ? -1 : 1
  return has.reduce((best, run) =>
    sign * inOrder(column.value(run), column.value(best)) < 0 ? run : best,
  )
}

/** What a row of several runs is called: {name, facts}. */
export function groupInWords(runs, level) {
  const names = new Set(runs.map((run) => run.title))
  const differing = swept(runs)
  const seeds = new Set(runs.map((run) => run.seed)).size
  const title = names.size === 1 ? [...names][0] : commonName(runs)
  const values = [...differing].map(([name, set]) => {
    const word = name.split(".").at(-1).replaceAll("_", " ")
    const listed = set.slice(0, 4).map(settingInWords).join(", ")
    return `${word} ${listed}${set.length > 4 ? `, … (${set.length})` : ""}`
  })
  const number = differing.size ? combinations(runs).size : 1
  const sets = number > 1 ? `${number} settings` : ""
  const seedWords = seeds > 1 ? `${seeds} seeds` : ""
  const each = sets && seedWords ? `${number} × ${seedWords}` : sets || seedWords
  const size = each || `${runs.length} runs`
  if (level) return { name: size, facts: "" }
  const shown = values.slice(0, 3).join(" × ")
  return { name: shown ? `${title}, ${shown}` : title, facts: size }
}

function commonName(runs) {
  const data = [...new Set(runs.map((run) => run.dataset))]
  const methods = [...new Set(runs.map((run) => run.method.replaceAll("_", " ")))]
  return (
    [data.length === 1 ? data[0] : "", methods.length === 1 ? methods[0] : ""]
      .filter(Boolean)
      .join(", ") || `${runs.length} runs`
  )
}

/** What tells one member of a group from the others: "width 128", "seed 3". */
export function memberInWords(run, group) {
  const all = { dataset: run.dataset, method: run.method, preset: run.preset, ...run.settings }
  const words = [...swept(group).keys()]
    .slice(0, 3)
    .filter((name) => name in all)
    .map((name) => `${name.split(".").at(-1).replaceAll("_", " ")} ${settingInWords(all[name])}`)
  return words.join(", ")
}
