// The numbers of a frame as a table of text, one row a grid point, sample, bin or state.

/** The numbers of a frame as CSV; "" for a kind that has none. */
export function csvOf(frame) {
  return TABLES[frame.header.kind]?.(frame) ?? ""
}

const TABLES = {
  field: fieldTable,
  points: pointsTable,
  trajectory: trajectoryTable,
  histogram: histogramTable,
  images: imagesTable,
  curve: curveTable,
  table: ({ header }) => lines(header.meta.columns, header.meta.rows),
}

function fieldTable({ header, arrays }) {
  const [height, width] = arrays.values.shape
  const { x_range: xs, y_range: ys, quantity } = header.meta
  const at = ([low, high], place, num) => low + ((high - low) * place) / Math.max(num - 1, 1)
  const rows = []
  for (let r = 0; r < height; r++) {
    for (let c = 0; c < width; c++) {
      rows.push([at(xs, c, width), at(ys, r, height), arrays.values.data[r * width + c]])
    }
  }
  return lines(["x1", "x2", quantity], rows)
}

function pointsTable({ header, arrays }) {
  const { positions, energies, labels } = arrays
  const [num, dim] = positions.shape
  const rows = Array.from({ length: num }, (_, i) => [
    ...positions.data.subarray(i * dim, (i + 1) * dim),
    ...(energies ? [energies.data[i]] : []),
    ...(labels ? [labels.data[i]] : []),
  ])
  return lines(
    [
      ...axisNames(dim, header.meta.axes),
      ...(energies ? ["energy"] : []),
      ...(labels ? ["class"] : []),
    ],
    rows,
  )
}

function trajectoryTable({ arrays }) {
  const { positions, energies } = arrays
  const [steps, chains, dim] = positions.shape
  const rows = []
  for (let s = 0; s < steps; s++) {
    for (let c = 0; c < chains; c++) {
      const from = (s * chains + c) * dim
      const place = positions.data.subarray(from, from + dim)
      rows.push([s, c, ...place, energies ? energies.data[s * chains + c] : ""])
    }
  }
  return lines(["state", "chain", ...axisNames(dim), "energy"], rows)
}

function histogramTable({ header, arrays }) {
  const [num, bins] = arrays.counts.shape
  const rows = Array.from({ length: bins }, (_, bin) => [
    arrays.edges.data[bin],
    arrays.edges.data[bin + 1],
    ...Array.from({ length: num }, (_, row) => arrays.counts.data[row * bins + bin]),
  ])
  return lines(["from", "to", ...header.meta.names], rows)
}

function imagesTable({ header, arrays }) {
  const [num, ...shape] = arrays.pixels.shape
  const size = shape.reduce((product, length) => product * length, 1)
  const { low, high } = header.meta
  const value = (pixel) => (low + ((high - low) * pixel) / 255).toPrecision(4)
  const rows = Array.from({ length: num }, (_, i) => [
    i + 1,
    arrays.energies ? arrays.energies.data[i] : "",
    ...Array.from(arrays.pixels.data.subarray(i * size, (i + 1) * size), value),
  ])
  return lines(["image", "energy", ...Array.from({ length: size }, (_, i) => `p${i + 1}`)], rows)
}

function curveTable({ header, arrays }) {
  const { x, y } = arrays
  const num = x.data.length
  const rows = Array.from(x.data, (place, i) => [
    place,
    ...header.meta.names.map((_, row) => y.data[row * num + i]),
  ])
  return lines([header.meta.x_name || "x", ...header.meta.names], rows)
}

/** x1, x2 … where a frame does not name its axes. */
function axisNames(dim, names) {
  return Array.from({ length: dim }, (_, axis) => names?.[axis] ?? `x${axis + 1}`)
}

function lines(head, rows) {
  return [head, ...rows].map((row) => row.map(cell).join(",")).join("\n") + "\n"
}

/** A number as it is, a word quoted where it must be, and never one that a spreadsheet computes. */
function cell(value) {
  if (typeof value === "number") return value
  const word = String(value ?? "")
  const safe = /^[=+\-@\t\r]/.test(word) && !Number.isFinite(Number(word)) ? `'${word}` : word
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
