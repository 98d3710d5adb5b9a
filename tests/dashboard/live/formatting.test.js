import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"

import {
  count,
  duration,
  figure,
  ticks,
  timeLeft,
} from "../../../dashboard/live/parts/formatting.js"

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

test("time left is rounded up, and a guess says so", () => {
  assert.equal(timeLeft(12, 0.5), "15s left")
  assert.equal(timeLeft(61, 0.01), "about 2m left")
  assert.equal(timeLeft(3700, 0.5), "1h 02m left")
})

test("ticks are round numbers inside the range", () => {
  assert.deepEqual(ticks([-2, 2]), [-2, -1, 0, 1, 2])
  assert.deepEqual(ticks([0.1, 0.42]), [0.1, 0.2, 0.30000000000000004, 0.4])
})
