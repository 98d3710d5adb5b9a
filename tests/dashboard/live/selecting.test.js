import assert from "node:assert/strict"
import { test } from "node:test"

import { classesOf, orderOf } from "../../../dashboard/live/comparing/selecting/classes.js"
import { countsOf, middleOf } from "../../../dashboard/live/comparing/selecting/energy_strip.js"
import { distanceOf, figuresOf } from "../../../dashboard/live/comparing/selecting/figures.js"
import { placeAt, placesIn } from "../../../dashboard/live/comparing/selecting/regions.js"
import {
  placesOf,
  rangesText,
  Selection,
} from "../../../dashboard/live/comparing/selecting/selection.js"

const points = (values, energies) => ({
  header: { kind: "points", meta: {} },
  arrays: {
    positions: { shape: [values.length / 2, 2], data: Float32Array.from(values) },
    energies: energies && { data: Float32Array.from(energies) },
  },
})

test("a selection comes out of its link as it went in", () => {
  for (const places of [[], [4], [0, 1, 2], [7, 3, 4, 9, 10, 499]]) {
    const text = rangesText(places)
    assert.deepEqual(
      [...placesOf(text)].sort((a, b) => a - b),
      [...places].sort((a, b) => a - b),
    )
  }
  assert.equal(rangesText([3, 4, 5, 9]), "3-5,9")
  assert.deepEqual([...placesOf("x,-1,2-,1e9,99999999,6-7")], [6, 7])
  assert.ok(placesOf("0-99999").size <= 10_001)
})

test("a click selects one, again lets it go, and with shift adds to the others", () => {
  let changes = 0
  const selection = new Selection("", () => changes++)
  selection.choose([4])
  assert.equal(selection.text(), "4")
  selection.choose([6, 7], true)
  assert.equal(selection.text(), "4,6-7")
  selection.choose([4], true)
  assert.equal(selection.text(), "6-7")
  selection.choose([4])
  assert.equal(selection.text(), "4")
  selection.choose([4])
  assert.equal(selection.size, 0)
  selection.clear()
  assert.equal(changes, 5, "what is clear already changes nothing")
})

test("keys go through the samples and stay among them", () => {
  const selection = new Selection("", () => {})
  selection.move(1, 5)
  assert.equal(selection.text(), "0")
  selection.move(-1, 5)
  assert.equal(selection.text(), "0")
  selection.move(1, 5, true)
  selection.move(1, 5, true)
  assert.equal(selection.text(), "0-2")
  selection.move(1, 5)
  assert.equal(selection.text(), "3")
  for (let press = 0; press < 5; press++) selection.move(1, 5)
  assert.equal(selection.text(), "4")
})

const grid = { perRow: 3, cellWidth: 10, cellHeight: 10, gap: 2, numDrawn: 8 }

test("a rectangle over a grid selects the cells it meets, and none that are not there", () => {
  assert.deepEqual(placesIn({ grid }, [15, 5], [30, 20]), [1, 2, 4, 5])
  assert.deepEqual(placesIn({ grid }, [30, 20], [15, 5]), [1, 2, 4, 5])
  assert.deepEqual(placesIn({ grid }, [0, 25], [40, 40]), [6, 7])
  assert.deepEqual(placeAt({ grid }, [13, 1]), [1])
})

test("images by class stand a row each, and a cell selects the sample that stands in it", () => {
  const set = { num_labels: 3, label_names: ["a", "b", "c"], settings: { label: "each" } }
  assert.deepEqual(classesOf(set), ["a", "b", "c"])
  assert.deepEqual(classesOf({ ...set, label_names: [] }), ["0", "1", "2"])
  assert.equal(classesOf({ ...set, settings: { label: "a" } }), null)
  assert.equal(classesOf(undefined), null)
  const { order, each } = orderOf(8, 3, 10)
  assert.equal(each, 2)
  assert.deepEqual(order, [0, 3, 1, 4, 2, 5])
  const layout = { ...grid, perRow: 2, numDrawn: 6 }
  const geometry = { grid: layout, left: 64, order }
  assert.deepEqual(placesIn(geometry, [64, 13], [90, 20]), [1, 4])
  assert.deepEqual(placeAt(geometry, [64 + 13, 1]), [3])
})

test("a rectangle over a plane selects the points that are drawn in it", () => {
  const { data } = points([0, 0, 1, 1, 0.5, 0.5]).arrays.positions
  const box = { left: 10, top: 0, width: 100, height: 100 }
  const plane = {
    box,
    ranges: [
      [0, 1],
      [0, 1],
    ],
    axes: [0, 1],
  }
  const geometry = { planes: [plane], data, dim: 2 }
  assert.deepEqual(placesIn(geometry, [5, 60], [120, -10]), [], "it has to begin on the plane")
  assert.deepEqual(placesIn(geometry, [50, 60], [120, -10]), [1, 2])
  assert.deepEqual(placeAt(geometry, [13, 97]), [0])
  assert.deepEqual(placeAt(geometry, [40, 20]), [])
  // the same on the second coordinate across and the first up
  const turned = { planes: [{ ...plane, axes: [1, 0] }], data: [0, 1, 0.2, 0.3], dim: 2 }
  assert.deepEqual(placesIn(turned, [100, 100], [110, 95]), [0])
})

test("a stretch of energies selects what has them, at its ends what lies beyond", () => {
  const geometry = { line: { left: 0, width: 100, range: [0, 10] }, values: [-50, 1, 5, 9, 200] }
  assert.deepEqual(placesIn(geometry, [20, 0], [60, 9]), [2])
  assert.deepEqual(placesIn(geometry, [0, 0], [20, 9]), [0, 1])
  assert.deepEqual(placesIn(geometry, [80, 0], [100, 9]), [3, 4])
})

test("one value far out does not stretch the axis, and is counted at its end", () => {
  const values = [...Array.from({ length: 199 }, (_, place) => place), 1e9]
  const [low, high] = middleOf(values)
  assert.ok(low >= 0 && high < 200)
  const counts = countsOf(values, [low, high])
  assert.equal(
    counts.reduce((sum, number) => sum + number, 0),
    200,
  )
  assert.equal(
    countsOf(values, [low, high], (place) => place === 199).findIndex(Boolean),
    counts.length - 1,
  )
  assert.equal(middleOf([NaN, Infinity]), null)
})

test("figures of a selection are means over it, beside those of all", () => {
  const frame = points([0, 0, 3, 4, 6, 8], [1, 2, 6])
  const nearest = points([0, 1, 0, 0, 6, 8])
  const figures = figuresOf({ frame, nearest }, new Set([0, 1, 99]))
  assert.deepEqual(figures, { num: 2, energy: 1.5, energyOfAll: 3, distance: 3 })
  assert.ok(Number.isNaN(figuresOf({ frame }, new Set([0])).distance))
  const image = (value) => ({
    header: { kind: "images", meta: { low: -1, high: 1 } },
    arrays: { pixels: { shape: [1, 1, 2], data: Uint8Array.from([value, value]) } },
  })
  assert.ok(Math.abs(distanceOf(image(0), image(255), 0) - 2) < 1e-9)
})
