// Images of models that know classes, a row each, with the names before them.

import { FONT, sized } from "../../pictures/drawing/plane.js"
import { gridOf, paintGrid } from "../../pictures/drawing/images.js"
import { cut } from "../../parts/figures/text.js"
import { orderOf } from "./classes.js"
import { framed } from "./figures.js"

const NAME = 64
const MOST_EACH = 10

/** Draw images by class; returns their geometry. `classes`: names in order. */
export function paintClassRows(canvas, { frame, classes, selected }, width, colours) {
  const { order, each } = orderOf(frame.arrays.pixels.shape[0], classes.length, MOST_EACH)
  const known = canvas.classRows
  const all = known?.frame === frame ? known.all : framed(order.map((place) => [frame, place]))
  canvas.classRows = { frame, all }
  const grid = gridOf(all, { width: width - NAME, count: order.length, perRow: each })
  const context = sized(canvas, grid.size[0] + NAME, grid.size[1])
  context.font = FONT
  context.fillStyle = colours.text
  context.textAlign = "right"
  context.textBaseline = "middle"
  classes.forEach((name, row) => {
    const y = row * (grid.cellHeight + grid.gap) + grid.cellHeight / 2
    context.fillText(cut(context, name, NAME - 10), NAME - 8, y)
  })
  context.translate(NAME, 0)
  const chosen = selected && { size: selected.size, has: (cell) => selected.has(order[cell]) }
  paintGrid(context, all, grid, { selected: chosen, accent: colours.accent, bg: colours.bg })
  return { grid, left: NAME, order }
}
