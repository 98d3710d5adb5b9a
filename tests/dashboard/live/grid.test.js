import assert from "node:assert/strict"
import { test } from "node:test"

import {
  cellWords,
  figureNames,
  layoutOf,
  placeWords,
  scaleOf,
  valueOf,
} from "../../../dashboard/live/comparing/grid/cells.js"
import { paintSmall } from "../../../dashboard/live/comparing/grid/pictures.js"

const AXES = [
  { field: "sampler.step_size", words: "step size", values: [0.01, 0.1, 1] },
  { field: "num_steps", words: "sampler steps", values: [10, 20] },
  { field: "seed", words: "seed", values: [0, 1] },
]
const CELL = {
  state: "done",
  figures: { energy_distance: 0.5, "energy_distance/floor": 0.1, energy: -2, not_finite: 0 },
  seconds: 0.25,
  joules: null,
}

test("a cell lies where its values are, and swapped axes lie across one another", () => {
  const layout = layoutOf(AXES)
  assert.deepEqual([layout.numX, layout.numY, layout.numZ], [3, 2, 2])
  assert.equal(layout.at(2, 1, 1), 11)
  assert.deepEqual(placeWords(AXES, 11), ["step size 1", "sampler steps 20", "seed 1"])
  const swapped = layoutOf(AXES, true)
  assert.deepEqual([swapped.numX, swapped.numY], [2, 3])
  assert.equal(swapped.at(1, 2, 1), 11)
  assert.equal(layoutOf(AXES.slice(0, 2)).numZ, 1)
})

test("figures are judged by distance first, floors are none of them", () => {
  assert.deepEqual(figureNames([CELL]), ["energy_distance", "energy", "seconds"])
  assert.equal(valueOf(CELL, "energy"), -2)
  assert.equal(valueOf(CELL, "joules"), null)
  assert.equal(valueOf({ ...CELL, state: "drawing" }, "energy"), null)
})

test("the lowest figure is at the full end of the scale, which is logarithmic where it is wide", () => {
  const even = scaleOf([1, 2, 3])
  assert.deepEqual([even.share(3), even.share(2), even.share(1), even.isLog], [0, 0.5, 1, false])
  const wide = scaleOf([0.01, 0.1, 1])
  assert.equal(wide.isLog, true)
  assert.ok(Math.abs(wide.share(0.1) - 0.5) < 1e-9)
  assert.equal(scaleOf([2, 2]).share(2), 1)
  assert.equal(scaleOf([-5, 100]).isLog, false)
})

test("a cell says how it stands", () => {
  const words = (cell) => cellWords(AXES, 3, cell, "energy_distance")
  const place = "step size 0.01 · sampler steps 20 · seed 0"
  assert.equal(words(undefined), `${place}: waits to be drawn`)
  assert.equal(words({ state: "drawing", num: 64, num_drawn: 8 }), `${place}: 8 of 64 samples`)
  assert.equal(words({ state: "failed", reason: "No." }), `${place}: failed. No.`)
  assert.ok(words(CELL).startsWith(`${place}: Energy distance`))
  assert.ok(words(CELL).endsWith("0.5, floor 0.1, 0.25 s of drawing"))
})

test("samples beyond a cell are counted at its edges, where there is room", () => {
  const written = []
  const context = new Proxy(
    { fillText: (text) => written.push(text) },
    { get: (target, name) => target[name] ?? (() => {}), set: () => true },
  )
  const canvas = { style: {}, getContext: () => context }
  const positions = { shape: [3, 2], data: Float32Array.of(0.5, 0.5, 9, 0.5, 0.5, 7) }
  const frame = { header: { kind: "points" }, arrays: { positions } }
  const ranges = [
    [0, 1],
    [0, 1],
  ]
  paintSmall(canvas, frame, ranges, 60, { samples: "#aa5500", text: "#000000" })
  assert.deepEqual(written, [])
  paintSmall(canvas, frame, ranges, 120, { samples: "#aa5500", text: "#000000" })
  assert.deepEqual(written, ["▶ 1", "▲ 1"])
})
