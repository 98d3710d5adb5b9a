// Grids of images: equal cells, whole multiples of a pixel, never tinted by the theme.

import { make } from "../../parts/dom.js"

const GAP = 3

/** One image of an Images frame as a canvas of its own size. */
export function imageOf(frame, index) {
  const [, height, width] = frame.arrays.pixels.shape
  const canvas = make("canvas", { width, height })
  const context = canvas.getContext("2d")
  const image = context.createImageData(width, height)
  copy(frame, index, image, 0, 0)
  context.putImageData(image, 0, 0)
  return canvas
}

function copy(frame, index, image, left, top) {
  const { shape, data } = frame.arrays.pixels
  const [, height, width] = shape
  const channels = shape.length > 3 ? shape[3] : 1
  const start = index * height * width * channels
  // whole pixels at once: red is the lowest byte
  const pixels = new Uint32Array(image.data.buffer)
  for (let row = 0; row < height; row++) {
    let from = start + row * width * channels
    let to = (top + row) * image.width + left
    for (const end = to + width; to < end; to++, from += channels) {
      pixels[to] =
        channels === 3
          ? 0xff000000 | (data[from + 2] << 16) | (data[from + 1] << 8) | data[from]
          : 0xff000000 | (data[from] * 0x10101)
    }
  }
}

/** All images of a frame, cell by cell, on a canvas that is kept with the one they are drawn on. */
function mosaic(target, frame, { perRow, numDrawn }) {
  const known = target.mosaic
  if (known?.frame === frame && known.numDrawn === numDrawn) return known.canvas
  const [, height, width] = frame.arrays.pixels.shape
  const size = [perRow * width, Math.ceil(numDrawn / perRow) * height]
  const canvas = known?.canvas ?? make("canvas")
  if (canvas.width !== size[0] || canvas.height !== size[1]) {
    Object.assign(canvas, { width: size[0], height: size[1] })
  }
  const context = canvas.getContext("2d")
  const image = context.createImageData(...size)
  for (let index = 0; index < numDrawn; index++) {
    copy(frame, index, image, (index % perRow) * width, Math.floor(index / perRow) * height)
  }
  context.putImageData(image, 0, 0)
  target.mosaic = { canvas, frame, numDrawn }
  return canvas
}

/** The layout of the first `count` images in a grid about `width` pixels wide, a square unless
 * `perRow` says how many stand in a row. */
export function gridOf(frame, { width, count = 64, perRow: inRow }) {
  const [num, rows, columns] = frame.arrays.pixels.shape
  const numDrawn = Math.min(count, num)
  const perRow = inRow ?? Math.ceil(Math.sqrt(numDrawn))
  const ratio = window.devicePixelRatio || 1
  const room = (width - GAP * (perRow - 1)) / perRow
  const scale = Math.max(Math.floor((room * ratio) / columns), 1) / ratio
  const [cellWidth, cellHeight] = [columns * scale, rows * scale]
  const lines = Math.ceil(numDrawn / perRow)
  const size = [perRow * cellWidth + GAP * (perRow - 1), lines * cellHeight + GAP * (lines - 1)]
  return { perRow, cellWidth, cellHeight, gap: GAP, numDrawn, size, ratio }
}

/** Draw a grid on a context, in CSS pixels; the pinned image framed, or those `selected`, and then
 * the others fade to `bg`. */
export function paintGrid(context, frame, grid, options = {}) {
  const { pinned = null, selected = null, accent = "#0f6b80", bg = "#fcfcfb" } = options
  const [, rows, columns] = frame.arrays.pixels.shape
  const { perRow, cellWidth, cellHeight, numDrawn } = grid
  const onScreen = context instanceof CanvasRenderingContext2D
  context.imageSmoothingEnabled = false
  for (let index = 0; index < numDrawn; index++) {
    const [column, row] = [index % perRow, Math.floor(index / perRow)]
    const [x, y] = [column * (cellWidth + GAP), row * (cellHeight + GAP)]
    if (onScreen) {
      const all = mosaic(context.canvas, frame, grid)
      const from = [column * columns, row * rows, columns, rows]
      context.drawImage(all, ...from, x, y, cellWidth, cellHeight)
    } else context.drawImage(imageOf(frame, index), x, y, cellWidth, cellHeight)
    const isChosen = Boolean(selected?.has(index))
    if (selected?.size && !isChosen) {
      context.globalAlpha = 0.65
      context.fillStyle = bg
      context.fillRect(x, y, cellWidth, cellHeight)
      context.globalAlpha = 1
    }
    if (index === pinned || isChosen) {
      context.strokeStyle = accent
      context.lineWidth = 2
      context.strokeRect(x - 1, y - 1, cellWidth + 2, cellHeight + 2)
    }
  }
}

/** Draws the first `count` images into a canvas about `width` pixels wide, as `paintGrid` does. */
export function drawGrid(canvas, frame, { width, count, perRow, ...options }) {
  const grid = gridOf(frame, { width, count, perRow })
  canvas.width = Math.round(grid.size[0] * grid.ratio)
  canvas.height = Math.round(grid.size[1] * grid.ratio)
  canvas.style.width = `${grid.size[0]}px`
  canvas.style.height = `${grid.size[1]}px`
  const context = canvas.getContext("2d")
  context.setTransform(grid.ratio, 0, 0, grid.ratio, 0, 0)
  paintGrid(context, frame, grid, options)
  return grid
}

/** The cell under a pointer event on a canvas that `drawGrid` drew, or null. */
export function cellAt(canvas, grid, event) {
  const box = canvas.getBoundingClientRect()
  const column = Math.floor((event.clientX - box.left) / (grid.cellWidth + grid.gap))
  const row = Math.floor((event.clientY - box.top) / (grid.cellHeight + grid.gap))
  const index = row * grid.perRow + column
  return column >= 0 && column < grid.perRow && index >= 0 && index < grid.numDrawn ? index : null
}
