// Grids of images: equal cells, whole multiples of a pixel, never tinted by the theme.

const GAP = 3

/** One image of an Images frame as a canvas of its own size. */
export function imageOf(frame, index) {
  const { shape, data } = frame.arrays.pixels
  const [, height, width] = shape
  const channels = shape.length > 3 ? shape[3] : 1
  const canvas = document.createElement("canvas")
  canvas.width = width
  canvas.height = height
  const context = canvas.getContext("2d")
  const image = context.createImageData(width, height)
  const start = index * height * width * channels
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) {
      image.data[4 * i + c] = data[start + i * channels + (channels === 3 ? c : 0)]
    }
    image.data[4 * i + 3] = 255
  }
  context.putImageData(image, 0, 0)
  return canvas
}

/** Draws the first `count` images into a canvas about `width` pixels wide; the pinned one framed. */
export function drawGrid(canvas, frame, { width, count = 64, pinned = null, accent = "#0f6b80" }) {
  const [num, rows, columns] = frame.arrays.pixels.shape
  const shown = Math.min(count, num)
  const perRow = Math.ceil(Math.sqrt(shown))
  const ratio = window.devicePixelRatio || 1
  const room = (width - GAP * (perRow - 1)) / perRow
  const scale = Math.max(Math.floor((room * ratio) / columns), 1) / ratio
  const [cellWidth, cellHeight] = [columns * scale, rows * scale]
  const lines = Math.ceil(shown / perRow)
  const size = [
    perRow * cellWidth + GAP * (perRow - 1),
    lines * cellHeight + GAP * (lines - 1),
  ]
  canvas.width = Math.round(size[0] * ratio)
  canvas.height = Math.round(size[1] * ratio)
  canvas.style.width = `${size[0]}px`
  canvas.style.height = `${size[1]}px`
  const context = canvas.getContext("2d")
  context.setTransform(ratio, 0, 0, ratio, 0, 0)
  context.imageSmoothingEnabled = false
  for (let index = 0; index < shown; index++) {
    const x = (index % perRow) * (cellWidth + GAP)
    const y = Math.floor(index / perRow) * (cellHeight + GAP)
    context.drawImage(imageOf(frame, index), x, y, cellWidth, cellHeight)
    if (index === pinned) {
      context.strokeStyle = accent
      context.lineWidth = 2
      context.strokeRect(x - 1, y - 1, cellWidth + 2, cellHeight + 2)
    }
  }
  return { perRow, cellWidth, cellHeight, gap: GAP, shown }
}

/** The cell under a pointer event on a canvas that `drawGrid` drew, or null. */
export function cellAt(canvas, grid, event) {
  const box = canvas.getBoundingClientRect()
  const column = Math.floor((event.clientX - box.left) / (grid.cellWidth + grid.gap))
  const row = Math.floor((event.clientY - box.top) / (grid.cellHeight + grid.gap))
  const index = row * grid.perRow + column
  return column >= 0 && column < grid.perRow && index >= 0 && index < grid.shown ? index : null
}
