// Any panel as PNG, SVG or CSV: a button that opens three words.

import { coloursOf } from "../parts/colours.js"
import { make } from "../parts/dom.js"
import { SvgContext } from "./svg_context.js"

/** Hand a file to the browser. */
export function save(name, content, type) {
  const blob = content instanceof Blob ? content : new Blob([content], { type })
  const link = make("a", { href: URL.createObjectURL(blob), download: name })
  document.body.append(link)
  link.click()
  link.remove()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}

/** A button with the ways to export: {png, svg, csv}, functions; those that are not there are left out. */
export function exporter(ways) {
  const list = make("span.bl-export-list", { hidden: true })
  const button = make("button.bl-quiet", {
    type: "button",
    title: "Export this panel",
    textContent: "⤓",
  })
  button.setAttribute("aria-label", "Export this panel")
  button.setAttribute("aria-expanded", "false")
  const show = (on) => {
    list.hidden = !on
    button.setAttribute("aria-expanded", String(on))
  }
  button.onclick = () => show(list.hidden)
  for (const [way, act] of Object.entries(ways)) {
    if (!act) continue
    const choice = make("button.bl-quiet", { type: "button", textContent: way.toUpperCase() })
    choice.onclick = () => {
      show(false)
      act()
    }
    list.append(choice)
  }
  const slot = make("span.bl-export", {}, list, button)
  slot.onkeydown = (event) => {
    if (event.key === "Escape") show(false)
  }
  return slot
}

/**
 * The ways of a panel drawn on a canvas. `draw(context, width, height)` draws it in CSS pixels;
 * `size()` gives them; `csv()` its numbers as text.
 */
export function canvasWays(element, name, { size, draw, csv }) {
  const paper = () => coloursOf(element).bg
  return exporter({
    png: () => {
      const [width, height] = size()
      const scale = 3
      const canvas = make("canvas", { width: width * scale, height: height * scale })
      const context = canvas.getContext("2d")
      context.setTransform(scale, 0, 0, scale, 0, 0)
      context.fillStyle = paper()
      context.fillRect(0, 0, width, height)
      draw(context, width, height)
      canvas.toBlob((blob) => save(`${name()}.png`, blob))
    },
    svg: () => {
      const [width, height] = size()
      const context = new SvgContext(width, height)
      draw(context, width, height)
      save(`${name()}.svg`, context.text(paper()), "image/svg+xml")
    },
    csv: csv && (() => save(`${name()}.csv`, csv(), "text/csv")),
  })
}

const lines = (head, rows) =>
  [head, ...rows].map((row) => row.map(cell).join(",")).join("\n") + "\n"

/** A number as it is, a word quoted where it must be, and never one that a spreadsheet computes. */
function cell(value) {
  if (typeof value === "number") return value
  const word = String(value ?? "")
  const safe = /^[=+\-@\t\r]/.test(word) && !Number.isFinite(Number(word)) ? `'${word}` : word
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

/** The numbers of a frame as text, one row a grid point, sample, bin or state. */
export function csvOf({ header, arrays }) {
  const rows = []
  const axes = (dim) => Array.from({ length: dim }, (_, axis) => `x${axis + 1}`)
  if (header.kind === "field") {
    const [height, width] = arrays.values.shape
    const { x_range: xs, y_range: ys, quantity } = header.meta
    const at = ([low, high], place, num) => low + ((high - low) * place) / Math.max(num - 1, 1)
    for (let r = 0; r < height; r++) {
      for (let c = 0; c < width; c++) {
        rows.push([at(xs, c, width), at(ys, r, height), arrays.values.data[r * width + c]])
      }
    }
    return lines(["x1", "x2", quantity], rows)
  }
  if (header.kind === "points") {
    const [num, dim] = arrays.positions.shape
    for (let i = 0; i < num; i++) {
      const place = Array.from(arrays.positions.data.subarray(i * dim, (i + 1) * dim))
      rows.push([...place, ...(arrays.energies ? [arrays.energies.data[i]] : [])])
    }
    return lines([...axes(dim), ...(arrays.energies ? ["energy"] : [])], rows)
  }
  if (header.kind === "trajectory") {
    const [steps, chains, dim] = arrays.positions.shape
    for (let s = 0; s < steps; s++) {
      for (let c = 0; c < chains; c++) {
        const from = (s * chains + c) * dim
        const place = Array.from(arrays.positions.data.subarray(from, from + dim))
        rows.push([s, c, ...place, arrays.energies ? arrays.energies.data[s * chains + c] : ""])
      }
    }
    return lines(["state", "chain", ...axes(dim), "energy"], rows)
  }
  if (header.kind === "histogram") {
    const [num, bins] = arrays.counts.shape
    for (let bin = 0; bin < bins; bin++) {
      const ends = [arrays.edges.data[bin], arrays.edges.data[bin + 1]]
      rows.push([
        ...ends,
        ...Array.from({ length: num }, (_, row) => arrays.counts.data[row * bins + bin]),
      ])
    }
    return lines(["from", "to", ...header.meta.names], rows)
  }
  if (header.kind === "images") {
    const [num, ...shape] = arrays.pixels.shape
    const size = shape.reduce((product, length) => product * length, 1)
    const { low, high } = header.meta
    for (let i = 0; i < num; i++) {
      const pixels = Array.from(arrays.pixels.data.subarray(i * size, (i + 1) * size), (value) =>
        (low + ((high - low) * value) / 255).toPrecision(4),
      )
      rows.push([i + 1, arrays.energies ? arrays.energies.data[i] : "", ...pixels])
    }
    return lines(["image", "energy", ...Array.from({ length: size }, (_, i) => `p${i + 1}`)], rows)
  }
  if (header.kind === "table") {
    return lines(header.meta.columns, header.meta.rows)
  }
  return ""
}
