// Events that have no place of their own on a page, each as a small card.

import { lineChart } from "../charts/small_charts.js"
import { make } from "../parts/dom.js"
import { exporter, save } from "../parts/figures/export.js"
import { figure } from "../parts/formatting.js"
import { tableAt, textScale } from "../parts/table.js"
import { FIGURES, PICTURES } from "../parts/vocabulary.js"
import { csvOf } from "../stream/frame_csv.js"
import { contours, paintField, rangeOf } from "./drawing/field.js"
import { paintHidden } from "./drawing/hidden_part.js"
import { drawGrid } from "./drawing/images.js"
import { planeOn, strokeSegments, strokeTheory } from "./drawing/plane.js"
import { classesOf, drawNamedPoints } from "./drawing/points.js"
import { energyRange, tintOf } from "./drawing/tints.js"
import { stripOf } from "./drawing/ways_strip.js"
import { film } from "./film.js"

const CARD = 340
const GAP = 20
/** Values along a side of a field up to which each is a cell by itself. */
const MOST_CELLS = 40
/** The widest column of cards. */
export const WIDE = 520
const ROLES = { data: "data", noise: "noise", train_time: "chains", long_run: "samples" }

/** Makers of a card's content, by the kind of its event; scalars and texts have other places. */
const CONTENTS = {
  images: ({ frame, canvas, width, colours }) => {
    if (frame.header.meta.columns?.length) return [stripOf(frame)]
    const grid = drawGrid(canvas, frame, { width })
    if (frame.arrays.hidden) paintHidden(canvas.getContext("2d"), frame, grid, colours)
    return [canvas]
  },
  points,
  field,
  trajectory: (card) =>
    film({ ...card, landscape: card.data?.header.kind === "field" ? card.data : null }),
  curve: (card) => chart(card, curves(card)),
  histogram: (card) => chart(card, steps(card)),
  table: ({ frame: { header } }) => [
    make("div.bl-scroll.bl-tall", {}, tableAt(header.path, header.meta)),
    ...(header.meta.shares?.length ? [textScale()] : []),
  ],
}

/** The width of a column of cards in `width` pixels, as `.bl-answers` lays them out. */
export function columnOf(width) {
  const num = Math.max(1, Math.floor((width + GAP) / (CARD + GAP)))
  return Math.min((width - GAP * (num - 1)) / num, WIDE)
}

/**
 * A card of a frame, `room` pixels wide, or null for a scalar or a text; `data`: a frame of real
 * points to draw others over, or of a landscape for paths; `most`: pixels that a picture is wide at
 * most.
 */
export function cardOf(frame, room, colours, data = null, most = CARD) {
  const { kind, path, meta } = frame.header
  if (!(kind in CONTENTS)) return null
  const width = Math.min(Math.max(room, 220), most)
  const canvas = make("canvas", { role: "img", "aria-label": words(path) })
  const content = CONTENTS[kind]({ frame, canvas, width, room, colours, data })
  const name = make("div.bl-name", {}, words(path), meta.role === "data" ? realOnes() : "")
  const csv = () => save(`${path.replaceAll("/", "-")}.csv`, csvOf(frame), "text/csv")
  const head = make("header", {}, name, exporter({ csv }))
  const help = PICTURES[path]?.help
  const isWide = meta.columns?.length > 1 && (kind === "images" || meta.text)
  const card = make(isWide ? "div.bl-card.bl-wide" : "div.bl-card", {}, head, ...content)
  if (help) card.append(make("span.bl-muted", {}, help))
  Object.assign(card.dataset, { kind, path })
  return card
}

const TINTED = "coloured by energy, from unlikely to likely as the slice of the energy is"

function realOnes() {
  return make("span.bl-muted", {}, " real ones")
}

/** The name of a picture, or its path as words: `time/energy_distance`. */
export function words(path) {
  if (PICTURES[path]) return PICTURES[path].title
  const [name, ...rest] = path.split("/")
  const text = [FIGURES[name] ?? name, ...rest].join(", ").replaceAll("_", " ")
  return text[0].toUpperCase() + text.slice(1)
}

function points({ frame, canvas, width, colours, data }) {
  const { path } = frame.header
  // places on principal axes say little by themselves: what the energy makes of them does
  const tint = path.startsWith("principal/")
    ? tintOf(frame, "energy", energyRange([frame]), colours)
    : null
  drawNamedPoints(canvas, frame, data, width, colours, tint)
  const about = tint ? [TINTED] : []
  if (frame.arrays.arrows) about.push("arrows: towards where density grows fastest")
  if (data) about.push("held-out data in grey")
  const note = about.length ? [make("span.bl-muted", {}, about.join(" · "))] : []
  const classes = classesOf(frame, colours)
  if (!classes.length) return [canvas, ...note]
  const entries = classes.map(({ name, colour }) => {
    const mark = make("i.bl-mark")
    mark.style.background = colour
    return make("span.bl-row", {}, mark, name)
  })
  return [canvas, make("div.bl-legend", {}, ...entries)]
}

function field({ frame, canvas, width, colours }) {
  const { x_range: xs, y_range: ys, axes } = frame.header.meta
  const { context, box, place } = planeOn(canvas, width, [xs, ys], colours, axes)
  const [rows, columns] = frame.arrays.values.shape
  const isCells = Math.max(rows, columns) <= MOST_CELLS
  context.imageSmoothingEnabled = !isCells
  context.imageSmoothingQuality = "high"
  context.drawImage(paintField(frame, colours), box.left, box.top, box.width, box.height)
  if (!isCells) strokeSegments(context, contours(frame), box, [columns, rows], colours)
  const { line } = frame.arrays
  if (!line) return [canvas, scaleOf(frame, colours)]
  strokeTheory(context, line.data, place, colours)
  return [canvas, scaleOf(frame, colours), make("span.bl-muted", {}, "dotted: theory")]
}

/** The colours of a field, with their ends in words or figures. */
function scaleOf(frame, colours) {
  const { quantity } = frame.header.meta
  const bar = make("i")
  bar.style.background = `linear-gradient(90deg, ${colours.sequential.join(",")})`
  if ((quantity ?? "energy") === "energy") {
    return make("span.bl-scale", {}, "unlikely", bar, "likely")
  }
  const [low, high] = rangeOf(frame)
  return make("span.bl-scale", {}, `${words(quantity)}: ${figure(low)}`, bar, figure(high))
}

function chart({ frame, room, colours }, lines) {
  const { kind, path, meta } = frame.header
  const isCurve = kind === "curve"
  const titles = {
    x: meta.x_name || (isCurve ? "" : meta.unit) || "",
    y: isCurve ? meta.unit : "share",
  }
  const square = /false.positive|confidence/i.test(titles.x)
  const svg = lineChart(room, 280, lines, titles, colours, { square, marks: meta.marks })
  svg.setAttribute("role", "img")
  svg.setAttribute("aria-label", `${words(path)}: ${lines.map(({ name }) => name).join(", ")}.`)
  return [svg]
}

function curves({ frame: { header, arrays }, colours }) {
  const { x, y } = arrays
  const num = x.data.length
  return header.meta.names.map((name, row) => ({
    name: words(name),
    x: x.data,
    y: y.data.subarray(row * num, (row + 1) * num),
    colour: colours.runs[row % colours.runs.length],
  }))
}

function steps({ frame: { header, arrays }, colours }) {
  const { edges, counts } = arrays
  const bins = edges.data.length - 1
  return header.meta.names.map((name, row) => {
    const [x, y] = [[], []]
    for (let bin = 0; bin < bins; bin++) {
      x.push(edges.data[bin], edges.data[bin + 1])
      y.push(counts.data[row * bins + bin], counts.data[row * bins + bin])
    }
    const colour = colours[ROLES[name]] ?? colours.runs[row % colours.runs.length]
    return { name: words(name), x, y, colour, dash: name === "noise" ? "4 3" : "" }
  })
}
