import assert from "node:assert/strict"
import { test } from "node:test"

import {
  chanceOf,
  columnOf,
  columnsToDraw,
  correlation,
  gapOf,
  gapOfChance,
  rangeOfData,
  sharesOf,
} from "../../../dashboard/live/pictures/drawing/statistics.js"

function points(rows) {
  const shape = [rows.length, rows[0].length]
  return { arrays: { positions: { shape, data: Float64Array.from(rows.flat()) } } }
}

test("a column is its finite values", () => {
  const frame = points([
    [1, 5],
    [NaN, 6],
    [3, Infinity],
  ])
  assert.deepEqual(columnOf(frame, 0), [1, 3])
  assert.deepEqual(columnOf(frame, 1), [5, 6])
})

test("a correlation is Pearson's, however far from 0 the columns lie", () => {
  const rows = [
    [0, 1, 2],
    [1, 3, 2],
    [2, 2, 2],
    [3, 4, 2],
  ]
  assert.ok(Math.abs(correlation(points(rows), 0, 1) - 0.8) < 1e-12)
  const far = rows.map(([x, y, z]) => [x + 1e9, y, z])
  assert.ok(Math.abs(correlation(points(far), 0, 1) - 0.8) < 1e-12)
  assert.ok(Number.isNaN(correlation(points(rows), 0, 2)), "a constant has none")
})

test("chance explains less of a difference the more rows there are", () => {
  assert.ok(chanceOf(0, 500, 500) > 0.12 && chanceOf(0, 500, 500) < 0.13)
  assert.ok(chanceOf(0.9, 500, 500) < chanceOf(0, 500, 500))
  assert.ok(chanceOf(0, 5000, 5000) < chanceOf(0, 500, 500))
})

test("a gap is the largest difference of cumulative shares, ties counted together", () => {
  assert.equal(gapOf([1, 2, 3, 4], [1, 2, 3, 4]), 0)
  assert.equal(gapOf([0, 0, 0], [1, 1]), 1)
  assert.equal(gapOf([1, 2], [2, 3]), 0.5)
  assert.ok(Number.isNaN(gapOf([], [1])))
  assert.ok(Math.abs(gapOfChance(500, 500) - 0.0524) < 1e-3)
})

test("a range has room, also around one value", () => {
  assert.deepEqual(rangeOfData([0, 10]), [-1, 11])
  const [low, high] = rangeOfData([5])
  assert.ok(low < 5 && high > 5)
})

test("shares count what lies beyond", () => {
  assert.deepEqual(sharesOf([-1, 0, 0.5, 2], [0, 1], 2), { shares: [0.25, 0.25], beyond: 2 })
})

test("of many columns those that differ most are drawn, and stay while little changes", () => {
  assert.deepEqual(columnsToDraw([0.1, 0.2], 8), [0, 1])
  assert.deepEqual(columnsToDraw([0.1, 0.5, 0.3], 2), [1, 2])
  assert.deepEqual(columnsToDraw([0.4, 0.5, 0.3], 2, [1, 2]), [1, 2])
  assert.deepEqual(columnsToDraw([0.7, 0.5, 0.3], 2, [1, 2]), [0, 1])
})
