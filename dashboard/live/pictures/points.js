// Samples as dots, their first two coordinates, in a view fixed by the data.

import { faded } from "../parts/colours.js"

/** Draw `frame`'s samples over those of `data`, if any, on a square canvas of `width` CSS pixels. */
export function drawPoints(canvas, frame, data, width, colours) {
  canvas.width = canvas.height = width * 2
  canvas.style.width = canvas.style.height = `${width}px`
  const context = canvas.getContext("2d")
  context.scale(2, 2)
  const base = (data ?? frame).arrays.positions
  const at = ({ shape, data: values }, row, axis) =>
    axis < shape[1] ? values[row * shape[1] + axis] : 0
  const range = [0, 1].map((axis) => {
    let [low, high] = [Infinity, -Infinity]
    for (let i = 0; i < base.shape[0]; i++) {
      low = Math.min(low, at(base, i, axis))
      high = Math.max(high, at(base, i, axis))
    }
    return [low, high]
  })
  const span = Math.max(range[0][1] - range[0][0], range[1][1] - range[1][0]) * 1.3 || 1
  const dots = (positions, colour, radius) => {
    context.fillStyle = colour
    for (let i = 0; i < positions.shape[0]; i++) {
      const place = (axis) =>
        (at(positions, i, axis) - (range[axis][0] + range[axis][1]) / 2) / span
      context.beginPath()
      context.arc(width * (0.5 + place(0)), width * (0.5 - place(1)), radius, 0, 2 * Math.PI)
      context.fill()
    }
  }
  if (data) dots(data.arrays.positions, faded(colours.data, 0.3), 1.2)
  const made = frame.header.meta.role === "train_time" ? colours.chains : colours.samples
  dots(frame.arrays.positions, faded(made, 0.85), 1.8)
}
