// Events that have no place of their own on a page, each as a small card.

import { paintField } from "./field.js"
import { drawGrid } from "./images.js"
import { make } from "../parts/dom.js"
import { lineChart } from "../charts/small_charts.js"
import { drawPoints } from "./points.js"

const CARD = 340
const GAP = 20
const WIDE = 520
const ROLES = { data: "data", noise: "noise", train_time: "chains", long_run: "samples" }

/** The width of a column of cards in `width` pixels, as `.bl-answers` lays them out. */
export function columnOf(width) {
  const num = Math.max(1, Math.floor((width + GAP) / (CARD + GAP)))
  return Math.min((width - GAP * (num - 1)) / num, WIDE)
}

/**
 * A card of a frame that is a picture, `room` pixels wide, or null; `data`: a frame of real points to
 * draw others over.
 */
export function cardOf(frame, room, colours, data = null) {
  const { kind, path, meta } = frame.header
  const width = Math.min(Math.max(room, 220), CARD)
  const canvas = make("canvas", { role: "img", "aria-label": words(path) })
  if (kind === "images") drawGrid(canvas, frame, { width })
  else if (kind === "points") drawPoints(canvas, frame, data, width, colours)
  else if (kind === "field") paint(canvas, paintField(frame, colours), width)
  else if (kind === "curve" || kind === "histogram") return chartCard(frame, room, colours)
  else return null
  return make("div.bl-card", {}, make("div.bl-name", {}, words(path), role(meta)), canvas)
}

function role(meta) {
  return meta.role === "data" ? make("span.bl-muted", {}, " real ones") : ""
}

function chartCard(frame, room, colours) {
  const { kind, path, meta } = frame.header
  const lines = kind === "curve" ? curves(frame, colours) : steps(frame, colours)
  const titles = {
    x: meta.x_name || (kind === "histogram" ? meta.unit : "") || "",
    y: kind === "curve" ? meta.unit : "share",
  }
  const square = /false.positive/i.test(titles.x)
  const svg = lineChart(room, 280, lines, titles, colours, { square })
  svg.setAttribute("role", "img")
  svg.setAttribute("aria-label", `${words(path)}: ${lines.map(({ name }) => name).join(", ")}.`)
  return make("div.bl-card.wide", {}, make("div.bl-name", {}, words(path)), svg)
}

/** `time/energy_distance` as words. */
export function words(path) {
  const text = path.replaceAll("_", " ").replaceAll("/", ", ")
  return text[0].toUpperCase() + text.slice(1)
}

function curves({ header, arrays }, colours) {
  const { x, y } = arrays
  const num = x.data.length
  return header.meta.names.map((name, row) => ({
    name: words(name),
    x: x.data,
    y: y.data.subarray(row * num, (row + 1) * num),
    colour: colours.runs[row % colours.runs.length],
  }))
}

function steps({ header, arrays }, colours) {
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

function paint(canvas, source, width) {
  canvas.width = canvas.height = width * 2
  canvas.style.width = canvas.style.height = `${width}px`
  const context = canvas.getContext("2d")
  context.imageSmoothingQuality = "high"
  context.drawImage(source, 0, 0, width * 2, width * 2)
}
