// Which samples a rectangle over a picture holds. Geometry of a picture, in CSS pixels:
//   {grid, left, order}   cells of images, as `gridOf` lays them out, `left` pixels in; `order`: the
//                      place of the sample in each cell, where they stand in another
//   {planes, data, dim}   rows of positions on planes [{box, ranges, axes: [first, second]}]
//   {line, values}     values along a line {left, width, range}
// Needs no browser.

/** Pixels within which a click takes a point. */
const REACH = 9

/** The places in a rectangle between two points [x, y]. */
export function placesIn(geometry, from, to) {
  const [left, right] = [Math.min(from[0], to[0]), Math.max(from[0], to[0])]
  const [top, bottom] = [Math.min(from[1], to[1]), Math.max(from[1], to[1])]
  if (geometry.grid) return cellsIn(geometry, left, right, top, bottom)
  if (geometry.line) return valuesIn(geometry, left, right)
  const plane = planeAt(geometry, from)
  if (!plane) return []
  const places = []
  for (let row = 0; row < geometry.data.length / geometry.dim; row++) {
    const [x, y] = placeOf(geometry, plane, row)
    if (x >= left && x <= right && y >= top && y <= bottom) places.push(row)
  }
  return places
}

/** The place under a point, [] where there is none. */
export function placeAt(geometry, point) {
  if (geometry.grid) return cellsIn(geometry, point[0], point[0], point[1], point[1])
  if (geometry.line) return valuesIn(geometry, point[0] - 2, point[0] + 2)
  const plane = planeAt(geometry, point)
  if (!plane) return []
  let [nearest, least] = [[], REACH]
  for (let row = 0; row < geometry.data.length / geometry.dim; row++) {
    const [x, y] = placeOf(geometry, plane, row)
    const away = Math.hypot(x - point[0], y - point[1])
    if (away < least) [nearest, least] = [[row], away]
  }
  return nearest
}

function planeAt({ planes }, [x, y]) {
  return planes.find(
    ({ box }) =>
      x >= box.left && x <= box.left + box.width && y >= box.top && y <= box.top + box.height,
  )
}

function placeOf({ data, dim }, { box, ranges: [xs, ys], axes: [first, second] }, row) {
  const x = data[row * dim + first]
  const y = second < dim ? data[row * dim + second] : 0
  return [
    box.left + ((x - xs[0]) / (xs[1] - xs[0])) * box.width,
    box.top + (1 - (y - ys[0]) / (ys[1] - ys[0])) * box.height,
  ]
}

function cellsIn({ grid, left: start = 0, order }, left, right, top, bottom) {
  const { perRow, cellWidth, cellHeight, gap, numDrawn } = grid
  const across = (x) =>
    Math.max(0, Math.min(Math.floor((x - start) / (cellWidth + gap)), perRow - 1))
  const down = (y) => Math.max(0, Math.floor(y / (cellHeight + gap)))
  const places = []
  for (let row = down(top); row <= down(bottom); row++) {
    for (let column = across(left); column <= across(right); column++) {
      const place = row * perRow + column
      if (place < numDrawn) places.push(order?.[place] ?? place)
    }
  }
  return places
}

function valuesIn({ line, values }, left, right) {
  const [low, high] = line.range
  const value = (x) => low + ((x - line.left) / line.width) * (high - low)
  // what lies beyond the line is drawn at its ends
  const least = left <= line.left ? -Infinity : value(left)
  const most = right >= line.left + line.width ? Infinity : value(right)
  return Array.from(values.keys()).filter((row) => values[row] >= least && values[row] <= most)
}
