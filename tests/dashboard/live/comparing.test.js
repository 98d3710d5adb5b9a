import assert from "node:assert/strict"
import { test } from "node:test"

import { logDifference } from "../../../dashboard/live/comparing/difference.js"
import { outline } from "../../../dashboard/live/comparing/pair_test.js"
import { columnsFor, massOf, viewOf } from "../../../dashboard/live/comparing/pictures.js"
import { beyondOf } from "../../../dashboard/live/pictures/drawing/plane.js"

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

test("samples far out do not shrink the others, and are counted at the sides", () => {
  const many = Array.from({ length: 100 }, (_, place) => [place / 100, 0]).flat()
  const { arrays } = points([...many, 1000, 0, 0.5, -700])
  const view = viewOf([{ header: { kind: "points", meta: { role: "long_run" } }, arrays }])
  assert.ok(view[0][1] < 2 && view[1][0] > -2)
  assert.deepEqual(beyondOf(arrays.positions, view), { left: 0, right: 1, top: 0, bottom: 1 })
  const data = viewOf([{ header: { kind: "points", meta: { role: "data" } }, arrays }])
  assert.ok(data[0][1] >= 1000, "all of the data are seen")
})

test("a density is normalised by its mass over the field", () => {
  const flat = field([0, 2], [0, 3], [0, 0, 0, 0])
  assert.equal(massOf(flat), 6)
  assert.ok(Math.abs(massOf(field([0, 2], [0, 3], [0, 0, 0, Math.log(2)])) - 5.25) < 1e-6)
})

test("a difference of log densities is of normalised ones, and none of a model and itself", () => {
  const one = field([0, 2], [0, 3], [0, 1, 2, 3])
  const raised = field([0, 2], [0, 3], [0, 0, 0, 0])
  assert.ok(logDifference(one, one).nats.every((value) => Math.abs(value) < 1e-6))
  const { nats } = logDifference(raised, one)
  // log p = −E − log Z: the difference falls by the energy from place to place
  assert.ok(Math.abs(nats[0] - nats[3] - 3) < 1e-5)
  const back = logDifference(one, raised).nats
  assert.ok(nats.every((value, at) => Math.abs(value + back[at]) < 1e-6))
})

test("two grids are compared on the first, and nowhere beyond the second", () => {
  const wide = field([0, 4], [0, 4], [0, 0, 0, 0])
  const small = field([0, 2], [0, 2], [0, 0, 0, 0])
  const { nats } = logDifference(wide, small)
  assert.ok(Math.abs(nats[0] - Math.log(4)) < 1e-5)
  assert.ok(Number.isNaN(nats[3]))
})

test("the outline of marked cells is every edge to one that is not, and no other", () => {
  const [x, o] = [true, false]
  assert.deepEqual(outline([o, o, o, o], 2, 2), [])
  const alone = outline([o, o, o, o, x, o, o, o, o], 3, 3)
  assert.equal(alone.length, 4)
  assert.ok(alone.some((edge) => edge.join() === "1,1,2,1"))
  assert.equal(outline([x, x, x, x], 2, 2).length, 8)
  assert.equal(outline([x, x, o, o], 2, 2).length, 6)
})
