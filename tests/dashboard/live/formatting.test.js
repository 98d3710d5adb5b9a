import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"

import { count, duration, figure, ticks } from "../../../dashboard/live/parts/formatting.js"

const golden = JSON.parse(readFileSync(process.env.GOLDEN))

test("numbers are written as Python writes them", () => {
  for (const [value, text] of golden.figures) assert.equal(figure(value), text, String(value))
  for (const [value, text] of golden.counts) assert.equal(count(value), text, String(value))
  for (const [value, text] of golden.durations) assert.equal(duration(value), text, String(value))
})

test("what is no number has a sign", () => {
  assert.deepEqual([NaN, Infinity, -Infinity, undefined].map(figure), ["–", "∞", "−∞", "–"])
  assert.equal(duration(null), "–")
})

test("ticks are round numbers inside the range", () => {
  assert.deepEqual(ticks([-2, 2]), [-2, -1, 0, 1, 2])
  assert.deepEqual(ticks([0.1, 0.42]), [0.1, 0.2, 0.30000000000000004, 0.4])
})
