import assert from "node:assert/strict"
import { test } from "node:test"

import { axesOf, namesOf } from "../../../dashboard/live/pictures/race/coordinates.js"
import { waitInWords } from "../../../dashboard/live/pictures/race/racer_lane.js"
import { beyond, numLost, viewOf } from "../../../dashboard/live/pictures/race/racer_points.js"

function points(rows) {
  return { shape: [rows.length, rows[0].length], data: Float32Array.from(rows.flat()) }
}

const TARGET = points(Array.from({ length: 1001 }, (_, row) => [row / 1000, 0, -row / 10]))

test("a view holds the middle 99 % of the target's own draws, each axis on its own scale", () => {
  const wild = points([...Array.from({ length: 1000 }, (_, row) => [row / 1000, 1]), [1e7, NaN]])
  const [xs, ys] = viewOf(wild, [0, 1])
  assert.ok(xs[0] < 0 && xs[1] > 1 && xs[1] < 1.5, String(xs))
  assert.deepEqual(ys, [0, 2])
  const [, deep] = viewOf(TARGET, [0, 2])
  assert.ok(deep[0] < -100 && deep[1] > 0, String(deep))
})

test("what lies beyond a view is counted at its side, what is no number apart", () => {
  const view = [
    [0, 1],
    [0, 1],
  ]
  const cloud = points([
    [0.5, 9, 0.5],
    [-3, 9, 0.5],
    [1e7, 9, 0.5],
    [0.5, 9, 7],
    [NaN, 9, 0.5],
    [0.5, NaN, 0.5],
  ])
  assert.deepEqual(beyond(cloud, [0, 2], view), { left: 1, right: 1, top: 1, bottom: 0 })
  assert.equal(numLost(cloud, [0, 2]), 1)
  assert.equal(numLost(cloud, [0, 1]), 2)
})

test("coordinates have the names that their data give, else a letter and a number", () => {
  const frame = { header: { meta: {} }, arrays: { positions: TARGET } }
  assert.deepEqual(namesOf(frame), ["x₁", "x₂", "x₃"])
  frame.header.meta.axes = ["height", "weight", "age"]
  assert.deepEqual(namesOf(frame), ["height", "weight", "age"])
})

test("an address that names coordinates there are not shows the first two", () => {
  assert.deepEqual(axesOf("3,1", 3), [2, 0])
  for (const text of ["4,1", "1", "a,b", null]) assert.deepEqual(axesOf(text, 3), [0, 1])
})

test("a racer that waits says for what", () => {
  assert.equal(waitInWords(0, 1), "next, waits for the one worker")
  assert.equal(waitInWords(2, 3), "2 before it, waits for one of 3 workers")
  assert.equal(waitInWords(-1, 0), "no worker is there")
})
