// What a board shows, as far as it follows from the page's address and from what is typed.

import { COSTS } from "../stream/curves.js"
import { isOfSystem } from "./system_charts.js"

export const SMOOTHING = 0.7
const MOST_FROM_LINK = 24

/**
 * The choices that stand in an address, read by `get(name)`: {chosenAxis, smoothing, zoom, hidden,
 * turned: charts whose axis is not the one their figure has by itself, heights: y ranges by path}.
 * What cannot be read counts as not chosen.
 */
export function choicesFrom(get, firstAxis) {
  const listed = (name) => listOf(get(name))
  const smoothing = Number(get("smooth") ?? NaN)
  const zoom = listed("zoom").map(Number)
  const heights = listed("y")
    .map((item) => item.split("~"))
    .map(([path, low, high]) => [path, [Number(low), Number(high)]])
  return {
    chosenAxis: COSTS.includes(get("axis")) ? get("axis") : firstAxis,
    smoothing: smoothing >= 0 && smoothing < 1 ? smoothing : SMOOTHING,
    zoom: isRange(zoom) ? zoom : null,
    hidden: new Set(listed("hide")),
    turned: new Set(listed("log")),
    heights: new Map(heights.filter(([, range]) => isRange(range))),
  }
}

/** The charts that a link asks for. */
export function linkedCharts(get) {
  return listOf(get("charts"))
}

function listOf(text) {
  return (text ?? "").split(",").filter(Boolean)
}

function isRange(values) {
  return values.length === 2 && values.every(Number.isFinite) && values[0] < values[1]
}

/**
 * The charts to open by themselves: those of the link, else the headline's; `isWhole` once no more
 * of them can come. `open`: those that are there already.
 */
export function pathsToChart(source, linked, open = []) {
  const wanted = linked.length ? linked : source.headline
  const most = linked.length ? MOST_FROM_LINK : source.most
  const placed = wanted.filter((path) => open.includes(path) || source.canPlace(path))
  const added = placed
    .filter((path) => !open.includes(path))
    .slice(0, Math.max(most - open.length, 0))
  const isEmpty = !linked.length && !open.length && !added.length
  // a run of which nothing is expected still has something to show
  const paths = isEmpty
    ? source
        .paths()
        .filter((path) => !isOfSystem(path))
        .slice(0, most)
    : added
  return { paths, isWhole: open.length + paths.length === Math.min(wanted.length, most) }
}

/** The path that was typed: its name or title, or the only one that holds the words. */
export function metricNamed(words, paths, about) {
  const typed = words.toLowerCase()
  const names = (path) => [path, about(path).title.toLowerCase()]
  const exact = paths.filter((path) => names(path).includes(typed))
  const near = paths.filter((path) => names(path).some((name) => name.includes(typed)))
  const [path] = exact.length ? exact : near.length === 1 ? near : []
  return { path, problem: path ? "" : near.length ? "Several metrics fit." : "No such metric." }
}
