import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"

import {
  band,
  Curves,
  firstAt,
  smoothed,
  thinned,
  valueAt,
} from "../../../dashboard/live/stream/curves.js"

/** A scalar block of one path: `values` at the steps from `first` on. */
function block(first, values, path = "a") {
  const cost = (step) => [step, 2 * step, step / 10, null]
  const data = Float32Array.from(values)
  return {
    header: { meta: { paths: [path] }, first: cost(first), last: cost(first + data.length - 1) },
    arrays: { values: { shape: [data.length, 1], data } },
  }
}

/** A path's history or a stretch of it, as the server sends one. */
function history(steps, { bucketed = false } = {}) {
  const column = { data: Float64Array.from(steps) }
  const arrays = { step: column, gradients: column, seconds: column, joules: column, value: column }
  return { header: { seq: 1, meta: { paths: ["a"], bucketed, history: true } }, arrays }
}

test("a page that stays open holds a bounded number of points, spikes among them", () => {
  const curves = new Curves()
  for (let step = 0; step < 100_000; step += 1000) {
    const values = new Float32Array(1000)
    if (step === 5000) values[123] = 7
    curves.add(block(step, values))
  }
  const { value, step } = curves.get("a")
  assert.ok(value.length <= 20_000)
  assert.equal(step.at(-1), 99_999)
  assert.equal(Math.max(...value), 7)
  assert.equal(curves.costs.has("joules"), false)
})

test("a run that goes on from an earlier step takes back what came after it", () => {
  const curves = new Curves()
  curves.add(block(1, [1, 2, 3, 4]))
  const { epoch } = curves
  curves.cutAfter(2)
  curves.add(block(3, [30]))
  assert.deepEqual(curves.get("a").value, [1, 2, 30])
  assert.equal(curves.last("a"), 30)
  assert.equal(curves.epoch, epoch + 1)
})

test("a stretch in detail takes the place of the thinned one", () => {
  const curves = new Curves()
  curves.add(history([0, 10, 20, 30], { bucketed: true }))
  curves.addDetail(history([10, 12, 14, 20]))
  const whole = curves.detailed("a")
  assert.deepEqual(whole.step, [0, 10, 12, 14, 20, 30])
  assert.deepEqual([whole.from, whole.to, whole.fine], [10, 20, true])
  assert.deepEqual(curves.get("a").step, [0, 10, 20, 30])
})

test("thinning keeps the least and greatest of every bucket, and the ends", () => {
  const values = Array.from({ length: 10_000 }, (_, i) => Math.sin(i))
  values[4321] = 9
  values[8765] = -9
  const rows = thinned(values, 100)
  assert.ok(rows.length <= 102)
  for (const row of [0, 4321, 8765, 9999]) assert.ok(rows.includes(row), String(row))
  assert.deepEqual(
    rows,
    [...new Set(rows)].sort((a, b) => a - b),
  )
})

test("what is not a number hides nothing from the thinning", () => {
  const broken = Array.from({ length: 4000 }, () => NaN)
  broken[2765] = 5
  assert.ok(thinned(broken, 100).includes(2765))
})

test("few values are all drawn", () => {
  assert.deepEqual(thinned([3, 1, 2]), [0, 1, 2])
  assert.deepEqual(thinned([3, 1, 2, 5], 10, 1, 3), [1, 2])
  assert.deepEqual(thinned([], 10), [])
})

const near = (actual, expected) =>
  actual.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) < 1e-9, String(actual)))

test("smoothing is debiased, goes by logarithms on a log axis, and gaps do not spread", () => {
  near(smoothed([1, 3, 3], 0.5, false), [1, 7 / 3, 19 / 7])
  near(smoothed([1, 100], 0.5, true), [1, 100 ** (2 / 3)])
  near(smoothed([1, NaN, 3], 0.5, false), [1, 1, 7 / 3])
})

test("the first value of a heavily smoothed curve pulls no more than the others", () => {
  const values = [10, ...Array.from({ length: 40 }, () => 0.28)]
  assert.ok(smoothed(values, 0.98, false).at(-1) < 0.5)
})

test("places on an axis are found by halving", () => {
  assert.deepEqual(
    [0, 1, 4, 9].map((value) => firstAt([1, 3, 5], value)),
    [0, 0, 2, 3],
  )
  const columns = { step: [1, 3, 5], value: [10, 30, 50] }
  assert.deepEqual(
    [0, 1, 4, 9].map((step) => valueAt(columns, "step", step)),
    [undefined, 10, 30, 50],
  )
})

test("bands are medians and ranges, of many 10 to 90 %", () => {
  const line = (height) => ({ x: [0, 10], y: [height, height] })
  assert.deepEqual(band([line(1), line(5), line(2)], 3), {
    x: [0, 5, 10],
    middle: [2, 2, 2],
    low: [1, 1, 1],
    high: [5, 5, 5],
  })
  const seven = band([1, 2, 3, 4, 5, 6, 7].map(line), 2)
  assert.ok(Math.abs(seven.low[0] - 1.6) < 1e-9 && Math.abs(seven.high[0] - 6.4) < 1e-9)
  const slope = band(
    [
      { x: [0, 4, 10], y: [0, 4, 10] },
      { x: [2, 8], y: [2, 8] },
    ],
    4,
  )
  assert.deepEqual(slope.x, [2, 4, 6, 8])
  slope.middle.forEach((value, i) => assert.ok(Math.abs(value - slope.x[i]) < 1e-9))
})

test("a column that is thinned keeps its ends and its spikes, as Python's does", () => {
  const { thinned: cases } = JSON.parse(readFileSync(process.env.GOLDEN))
  for (const { values: written, most, num, ends, range } of cases) {
    const values = Float32Array.from(written, (value) => value ?? NaN)
    const kept = thinned(values, most).map((row) => values[row])
    assert.deepEqual([kept[0], kept.at(-1)], ends)
    const finite = kept.filter(Number.isFinite)
    assert.deepEqual([Math.min(...finite), Math.max(...finite)], range)
    assert.ok(Math.max(kept.length, num) <= most + 2)
  }
})
