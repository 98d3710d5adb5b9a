// Samples of tables that are compared: each model's columns in pairs, all with the same columns.

import { faded } from "../parts/colours.js"
import { PairPlot } from "../pictures/pair_plot.js"
import { sized } from "../pictures/drawing/plane.js"

/** Pixels of a cell below which fewer columns are drawn. */
const LEAST_CELL = 58

/** True for points that are more than a plane shows. */
export const isTable = (frame, data) =>
  frame?.header.kind === "points" && frame.arrays.positions.shape[1] > 2 && Boolean(data)

/** The columns in which samples differ most from the data. */
export function columnsOf({ frame, data }) {
  const pairs = new PairPlot()
  pairs.show({ data, samples: frame })
  return pairs.columns
}

/**
 * Draw the pair plot of samples over the data; `columns`: those that another drew, to draw the same.
 * Returns {planes, data, dim, columns}.
 */
export function paintPairs(canvas, { frame, data, colour, selected }, columns, width, colours) {
  const pairs = new PairPlot()
  pairs.show({ data, samples: frame })
  if (columns) pairs.columns = columns
  pairs.columns = pairs.columns.slice(0, Math.max(2, Math.floor(width / LEAST_CELL)))
  const size = pairs.size(width)
  const context = sized(canvas, ...size)
  const own = { ...colours, samples: colour }
  const isFaded = Boolean(selected?.size)
  pairs.renderBase(context, { data: true, samples: !isFaded }, own)
  const { positions } = frame.arrays
  const dim = positions.shape[1]
  const planes = []
  pairs.columns.forEach((second, row) => {
    pairs.columns.slice(0, row).forEach((first, column) => {
      const [left, top] = pairs.place(row, column)
      const box = { left, top, width: pairs.cell, height: pairs.cell }
      planes.push({
        box,
        ranges: [pairs.ranges[first], pairs.ranges[second]],
        axes: [first, second],
      })
    })
  })
  if (isFaded) {
    for (const plane of planes) dots(context, plane, positions, colour, selected)
  }
  canvas.ariaLabel = pairs.sentence()
  return { planes, data: positions.data, dim, columns: pairs.columns }
}

/** Dots of a plane, the selected ones last and large. */
function dots(context, { box, ranges: [xs, ys], axes }, { data, shape }, colour, selected) {
  const [num, dim] = shape
  for (const isChosen of [false, true]) {
    context.fillStyle = isChosen ? colour : faded(colour, 0.2)
    const size = isChosen ? 3.4 : 2
    for (let row = 0; row < num; row++) {
      if (selected.has(row) !== isChosen) continue
      const across = (data[row * dim + axes[0]] - xs[0]) / (xs[1] - xs[0])
      const up = (data[row * dim + axes[1]] - ys[0]) / (ys[1] - ys[0])
      if (!(across >= 0 && across <= 1 && up >= 0 && up <= 1)) continue
      const [x, y] = [box.left + across * box.width, box.top + (1 - up) * box.height]
      context.fillRect(x - size / 2, y - size / 2, size, size)
    }
  }
}
