import assert from "node:assert/strict"
import { test } from "node:test"

import { columnsFor, massOf, viewOf } from "../../../dashboard/live/comparing/pictures.js"

const field = (xs, ys, values) => ({
  header: { kind: "field", meta: { x_range: xs, y_range: ys, temperature: 1 } },
  arrays: { values: { shape: [2, 2], data: Float32Array.from(values) } },
})
const points = (values) => ({
  header: { kind: "points", meta: {} },
  arrays: { positions: { shape: [values.length / 2, 2], data: Float32Array.from(values) } },
})

test("cards share out the width whatever their number, in rows that are full", () => {
  const columns = (width) => [1, 2, 3, 4, 5, 6, 8].map((num) => columnsFor(num, width))
  assert.deepEqual(columns(1376), [1, 2, 3, 4, 5, 3, 4])
  assert.deepEqual(columns(768), [1, 2, 3, 2, 3, 3, 3])
  assert.deepEqual(columns(358), [1, 1, 1, 1, 1, 1, 1])
})

test("very many cards are small, and none is alone in the last row", () => {
  assert.equal(columnsFor(30, 1376), 8)
  assert.equal(columnsFor(10, 1376), 5)
  assert.equal(columnsFor(30, 358), 2)
})

test("one view holds all landscapes and samples", () => {
  const all = [field([-1, 3], [0, 2], [0, 0, 0, 0]), null, field([-2, 1], [-1, 1], [0, 0, 0, 0])]
  assert.deepEqual(viewOf(all), [
    [-2, 3],
    [-1, 2],
  ])
  const [xs] = viewOf([...all, points([10, 0, 0, 0])])
  assert.ok(xs[0] <= -2 && xs[1] >= 10)
  assert.equal(viewOf([null]), null)
})

test("a density is normalised by its mass over the field", () => {
  const flat = field([0, 2], [0, 3], [0, 0, 0, 0])
  assert.equal(massOf(flat), 6)
  assert.ok(Math.abs(massOf(field([0, 2], [0, 3], [0, 0, 0, Math.log(2)])) - 5.25) < 1e-6)
})
