import assert from "node:assert/strict"
import { test } from "node:test"

import { apart, median, scaleOf, short } from "../../../dashboard/live/charts/small_charts.js"
import { sharesOf } from "../../../dashboard/live/parts/table.js"

test("a scale keeps its values inside and its ticks round", () => {
  const scale = scaleOf([0, 90], false, [0, 100])
  assert.ok(scale.at(0) > 0 && scale.at(90) < 100)
  assert.ok(Math.abs(scale.at(45) - 50) < 1e-9)
  assert.deepEqual(scale.ticks, [0, 50])
})

test("a scale from zero begins there", () => {
  const scale = scaleOf([4, 8], false, [0, 100], { zero: true })
  assert.equal(scale.at(0), 0)
})

test("a log scale goes by decades, and leaves out what has no logarithm", () => {
  const scale = scaleOf([0.01, 1, 100, 0, -5, NaN], true, [0, 100])
  assert.deepEqual(scale.ticks, [0.01, 0.1, 1, 10, 100])
  assert.ok(Math.abs(scale.at(1) - 50) < 1e-9)
  assert.deepEqual([0, -1, NaN, 0.5].map(scale.fits), [false, false, false, true])
})

test("one value, or none, still has a scale", () => {
  assert.ok(Number.isFinite(scaleOf([3], false, [0, 100]).at(3)))
  assert.ok(scaleOf([], false, [0, 100]).ticks.length > 2)
})

test("labels keep apart and stay within the frame", () => {
  const ends = [{ place: 50 }, { place: 52 }, { place: 99 }]
  apart(ends, 0, 100)
  const places = ends.map(({ place }) => place)
  assert.deepEqual(places, [50, 65, 99])
  const low = [{ place: 95 }, { place: 96 }]
  apart(low, 0, 100)
  assert.ok(low.every(({ place }) => place <= 100))
})

test("the median of an even number lies between the middle two", () => {
  assert.equal(median([3, 1, 2]), 2)
  assert.equal(median([4, 1, 2, 3]), 2.5)
})

test("a long label ends in an ellipsis", () => {
  assert.equal(short("langevin", 200), "langevin")
  assert.equal(short("a very long name of a racer", 64), "a very lo…")
})

test("a matrix of classes is shaded by the share of each true class", () => {
  const rows = [
    ["0", 48, 2],
    ["1", 5, null],
    ["2", 0, 0],
  ]
  assert.deepEqual(sharesOf(rows), [
    [0.96, 0.04],
    [1, 0],
    [0, 0],
  ])
})
