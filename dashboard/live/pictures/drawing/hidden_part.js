// The part of images that was hidden: hatched where it is unknown, and its edge, in the colour of the
// model where the model filled it in, else dashed.

const HATCH = 5

/** Sides of hidden places that face what is not hidden: [fromX, fromY, toX, toY] in places. */
export function edgesOf({ shape: [height, width], data }) {
  const isHidden = (row, column) =>
    row >= 0 && row < height && column >= 0 && column < width && data[row * width + column] > 0
  const edges = []
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      if (!isHidden(row, column)) continue
      if (!isHidden(row - 1, column)) edges.push([column, row, column + 1, row])
      if (!isHidden(row + 1, column)) edges.push([column, row + 1, column + 1, row + 1])
      if (!isHidden(row, column - 1)) edges.push([column, row, column, row + 1])
      if (!isHidden(row, column + 1)) edges.push([column + 1, row, column + 1, row + 1])
    }
  }
  return edges
}

/** Draw it over every cell of a grid of images, as `drawGrid` laid them out. */
export function paintHidden(context, frame, grid, colours) {
  const { hidden } = frame.arrays
  const { role } = frame.header.meta
  const [height, width] = hidden.shape
  const side = [grid.cellWidth / width, grid.cellHeight / height]
  const edges = edgesOf(hidden)
  const isUnknown = role === "data" && frame.header.path === "known"
  const isFilled = role !== "data"
  for (let index = 0; index < grid.numDrawn; index++) {
    const [column, row] = [index % grid.perRow, Math.floor(index / grid.perRow)]
    context.save()
    context.translate(column * (grid.cellWidth + grid.gap), row * (grid.cellHeight + grid.gap))
    if (isUnknown) hatch(context, hidden, side, [grid.cellWidth, grid.cellHeight], colours)
    context.strokeStyle = isFilled ? colours.samples : colours.muted
    context.lineWidth = isFilled && side[0] > 3 ? 1.5 : 1
    context.setLineDash(isFilled ? [] : [3, 2])
    context.beginPath()
    for (const [fromX, fromY, toX, toY] of edges) {
      context.moveTo(fromX * side[0], fromY * side[1])
      context.lineTo(toX * side[0], toY * side[1])
    }
    context.stroke()
    context.restore()
  }
}

/** Fill the hidden places with paper and slanted lines. */
function hatch(
  context,
  { shape: [height, width], data },
  [across, down],
  [right, bottom],
  colours,
) {
  context.save()
  context.beginPath()
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      if (data[row * width + column]) context.rect(column * across, row * down, across, down)
    }
  }
  context.clip()
  context.fillStyle = colours.surface
  context.fillRect(0, 0, right, bottom)
  context.strokeStyle = colours.line2
  context.lineWidth = 1
  context.beginPath()
  for (let start = -bottom; start < right; start += HATCH) {
    context.moveTo(start, bottom)
    context.lineTo(start + bottom, 0)
  }
  context.stroke()
  context.restore()
}
