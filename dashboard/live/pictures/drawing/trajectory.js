// The paths of some chains: lines through their states, a ring where each began, a dot at its end.

import { faded } from "../../parts/colours.js"
import { planeOn, rangesOf } from "./plane.js"

/** Draw the first two coordinates of a Trajectory frame; of one coordinate, its course. */
export function drawTrajectory(canvas, frame, width, colours) {
  const { positions } = frame.arrays
  const [steps, chains, dim] = positions.shape
  const isCourse = dim < 2
  const at = (step, chain, axis) => positions.data[(step * chains + chain) * dim + axis]
  const ranges = isCourse
    ? [[0, Math.max(steps - 1, 1)], rangesOf(positions)[0]]
    : rangesOf(positions)
  const names = isCourse ? ["state", "x₁"] : ["x₁", "x₂"]
  const { context, place } = planeOn(canvas, width, ranges, colours, names)
  const state = (step, chain) =>
    isCourse ? place(step, at(step, chain, 0)) : place(at(step, chain, 0), at(step, chain, 1))
  context.lineWidth = 1.2
  for (let chain = 0; chain < chains; chain++) {
    context.beginPath()
    for (let step = 0; step < steps; step++) context.lineTo(...state(step, chain))
    context.strokeStyle = faded(colours.chains, 0.5)
    context.stroke()
  }
  context.strokeStyle = colours.chains
  context.fillStyle = colours.chains
  for (let chain = 0; chain < chains && steps > 0; chain++) {
    context.beginPath()
    context.arc(...state(0, chain), 3, 0, 2 * Math.PI)
    context.stroke()
    context.beginPath()
    context.arc(...state(steps - 1, chain), 3.4, 0, 2 * Math.PI)
    context.fill()
  }
}
