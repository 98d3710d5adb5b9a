import assert from "node:assert/strict"
import { test } from "node:test"

import { runsOf } from "../../../dashboard/live/parts/table.js"
import { drawTrajectory } from "../../../dashboard/live/pictures/drawing/trajectory.js"
import { meant } from "../../../dashboard/live/studio/by_hand.js"
import { positionAt } from "../../../dashboard/live/studio/places.js"

const COLOURS = new Proxy({}, { get: () => "#123456" })

/** A canvas that remembers what is drawn on it: [name, ...arguments] of each call. */
function recorded() {
  const calls = []
  const context = new Proxy(
    { measureText: (text) => ({ width: 6 * text.length }) },
    {
      get: (known, name) => known[name] ?? ((...values) => calls.push([name, ...values])),
      set: (known, name, value) => {
        calls.push([`${String(name)} =`, value])
        return true
      },
    },
  )
  return { canvas: { style: {}, getContext: () => context }, calls }
}

/** Two chains of three states: one goes up, one to the right. */
const FRAME = {
  header: { meta: {} },
  arrays: {
    positions: {
      shape: [3, 2, 2],
      data: Float32Array.from([0, 0, 0, 0, 0, 1, 1, 0, 0, 2, 2, 0]),
    },
  },
}
const BEHIND = {
  image: "landscape",
  ranges: [
    [-4, 4],
    [-4, 4],
  ],
}

/** The places that lines lead to, chain by chain, in the units of the frame. */
function linesIn(calls, { box, ranges }) {
  const lines = []
  for (const [name, ...values] of calls) {
    if (name === "beginPath") lines.push([])
    else if (name === "lineTo") lines.at(-1)?.push(positionAt(values, box, ranges))
  }
  return lines.filter((line) => line.length).map((line) => line.map((at) => at.map(Math.round)))
}

test("each chain is a line through its states, on the plane of the landscape under it", () => {
  const { canvas, calls } = recorded()
  const plane = drawTrajectory(canvas, FRAME, 300, COLOURS, { behind: BEHIND })
  assert.deepEqual(plane.ranges, BEHIND.ranges, "the paths lie inside the landscape")
  const up = [
    [0, 0],
    [0, 1],
    [0, 2],
  ]
  const right = [
    [0, 0],
    [1, 0],
    [2, 0],
  ]
  const lines = linesIn(calls, plane)
  assert.deepEqual([...new Set(lines.map(String))], [String(up), String(right)])
  const { left, top, width, height } = plane.box
  const image = calls.find(([name]) => name === "drawImage")
  assert.deepEqual(image.slice(1).map(Number.isFinite), [false, true, true, true, true])
  assert.deepEqual(image.slice(2), [left, top, width, height], "over all of its plane")
  const order = calls.map(([name]) => name)
  assert.ok(order.indexOf("drawImage") < order.indexOf("lineTo"), "and under the paths")
})

test("a landscape that is smaller than the paths leaves them all in sight", () => {
  const { canvas } = recorded()
  const side = [-1, 1]
  const small = { image: "landscape", ranges: [side, side] }
  const { ranges } = drawTrajectory(canvas, FRAME, 300, COLOURS, { behind: small })
  for (const [low, high] of ranges) assert.ok(low <= -1 && high >= 2)
})

test("without a landscape the paths lie in the plane that they name", () => {
  const { canvas } = recorded()
  const side = [-5, 5]
  const named = { ...FRAME, header: { meta: { view: [side, side] } } }
  assert.deepEqual(drawTrajectory(canvas, named, 300, COLOURS).ranges, [side, side])
})

test("until a state, dots stand there and rings at the start", () => {
  const { canvas, calls } = recorded()
  const plane = drawTrajectory(canvas, FRAME, 300, COLOURS, { until: 1, behind: BEHIND })
  const longest = Math.max(...linesIn(calls, plane).map((line) => line.length))
  assert.equal(longest, 2)
  const centres = calls
    .filter(([name]) => name === "arc")
    .map(([, x, y]) => positionAt([x, y], plane.box, plane.ranges).map(Math.round).join())
  assert.deepEqual(centres, ["0,0", "0,1", "0,0", "1,0"])
})

test("a click is a start, a drag a start and a shove of at most 1", () => {
  const pointed = { x: "x", y: "y", length: "shove", direction: "direction" }
  assert.deepEqual(meant([0.5, -1], [0.5, -1], pointed, false), { x: 0.5, y: -1 })
  assert.deepEqual(meant([0, 0], [0, 0.3], pointed, true), {
    x: 0,
    y: 0,
    shove: 0.3,
    direction: 90,
  })
  assert.equal(meant([0, 0], [-3, 0], pointed, true).shove, 1)
  assert.deepEqual(meant([1, 0], [2, 0], { x: "x", y: "y" }, true), { x: 1, y: 0 })
})

test("neighbours that are shaded alike lie in one mark, and what is sure in none", () => {
  assert.deepEqual(runsOf([1, 0.99, 0.01, 0, 0.5]), [
    { level: 0, from: 0, to: 2 },
    { level: 6, from: 2, to: 4 },
    { level: 3, from: 4, to: 5 },
  ])
})
