import assert from "node:assert/strict"
import { test } from "node:test"

import {
  comparedWords,
  runSource,
  samplesCompared,
} from "../../../dashboard/live/charts/sources.js"
import { Curves } from "../../../dashboard/live/stream/curves.js"

const PATH = "quality/energy_distance"

/** Curves of a run: rows are [step, {path: value}]. */
function curvesOf(...rows) {
  const curves = new Curves()
  for (const [step, values] of rows) {
    const cost = [step, step, step, null]
    curves.add({
      header: { meta: { paths: Object.keys(values) }, first: cost, last: cost },
      arrays: {
        values: { shape: [1, Object.keys(values).length], data: Object.values(values) },
      },
    })
  }
  return curves
}

const begin = [0, { "quality/num_samples": 512, [`${PATH}/floor`]: 0.125 }]
const along = [90, { [`${PATH}/long_run`]: 0.25, "loss/total": 1 }]
const end = (num) => [
  100,
  {
    [`${PATH}/long_run`]: 0.03125,
    [`${PATH}/floor`]: 0.0625,
    "loss/total": 1,
    "quality/num_samples": num,
  },
]
const source = (curves) => runSource({ curves, settings: { run: "r", figures: {} } })

test("a chart names how many samples it compares, and its final figure's apart", () => {
  assert.equal(comparedWords([curvesOf(begin, along)], PATH), "512 samples")
  const words = "512 samples, at the end ◆ 3\u2009000"
  assert.equal(comparedWords([curvesOf(begin, along, end(3000))], PATH), words)
  assert.equal(comparedWords([curvesOf(begin, along, end(512))], PATH), "512 samples")
})

test("what has no floor, and runs that say nothing of it, name no number", () => {
  assert.deepEqual(samplesCompared(curvesOf(begin, along), "loss/total"), {})
  assert.equal(comparedWords([curvesOf(along)], PATH), "")
})

test("the last value of a chart is the final figure, with the floor of as many samples", () => {
  const { lines, references } = source(curvesOf(begin, along, end(3000)))
  const [line] = lines(PATH)
  assert.equal(line.members[0].columns.value.at(-1), 0.03125)
  assert.equal(line.members[0].isFinalApart, true)
  assert.deepEqual(references(PATH), [
    { word: "floor", value: 0.125 },
    { word: "floor ◆", value: 0.0625 },
  ])
  const [loss] = source(curvesOf(begin, along, end(3000))).lines("loss/total")
  assert.equal(loss.members[0].isFinalApart, false)
})

test("equal numbers go on along the same curve", () => {
  const { lines, references } = source(curvesOf(begin, along, end(512)))
  assert.equal(lines(PATH)[0].members[0].isFinalApart, false)
  assert.deepEqual(references(PATH), [{ word: "floor", value: 0.0625 }])
})

test("the number of samples is no chart", () => {
  assert.deepEqual(source(curvesOf(begin, along)).paths(), [PATH, "loss/total"])
})

test("a turn or a fork is a mark on every axis that it has a place on, what was refused is none", () => {
  const text = (path, level, message, last) => ({ path, last, meta: { level, message } })
  const texts = [
    text("run/changed", "info", "Learning rate 0.01 → 0.001, by ada.", [120, 240, 3.5, null]),
    text("run/changed", "warning", "Not changed. It must be > 0.", [130, 260, 3.8, null]),
    text("run/resumed", "info", "Resumed from step 90.", [90, 180, 2, null]),
  ]
  const forks = [text("", "info", "Forked: 1a2b", [125, 250, 3.6, null])]
  const page = { curves: curvesOf(), settings: { run: "r", figures: {}, forks }, texts }
  const { marks } = runSource(page)
  const seen = (axis) => marks(axis).map(({ x, words }) => [x, words])
  assert.deepEqual(seen("step"), [
    [120, "Learning rate 0.01 → 0.001, by ada"],
    [125, "Forked: 1a2b"],
  ])
  assert.deepEqual(
    seen("seconds").map(([x]) => x),
    [3.5, 3.6],
  )
  assert.deepEqual(seen("joules"), [])
})

test("a fork's mark is as short as its parent's", () => {
  const text = (path, message) => ({
    path,
    last: [400, 1, 2, null],
    meta: { message, level: "info" },
  })
  const texts = [
    text("run/forked", "Forked from 20261128-182956-fbd2 at step 400."),
    text("run/changed", "step size 0.1 → 0.2."),
  ]
  const page = { curves: curvesOf(begin), settings: { run: "r", figures: {} }, texts }
  assert.deepEqual(
    runSource(page)
      .marks("step")
      .map(({ words }) => words),
    ["Forked from fbd2", "step size 0.1 → 0.2"],
  )
})

test("a chart draws every series of its own, natural and attacked, each in a colour", () => {
  const paths = ["natural", "attacked", "targeted"].map((tail) => `energy/under_attack/${tail}`)
  const values = Object.fromEntries(paths.map((path) => [path, 1]))
  const { lines, paths: charts } = source(curvesOf([10, values]))
  assert.deepEqual(charts(), ["energy/under_attack"])
  const drawn = lines("energy/under_attack")
  assert.deepEqual(new Set(drawn.map(({ key }) => key)), new Set(paths))
  const colours = { data: "black", samples: "orange", runs: ["a", "b", "c", "d", "e", "f"] }
  const chosen = drawn.map(({ colour }) => colour(colours))
  assert.equal(new Set(chosen).size, 3)
  assert.ok(chosen.every(Boolean))
})

test("a floor that is no number of samples' names none", () => {
  const rows = [0, { "quality/num_samples": 512, "classification/accuracy/floor": 0.1 }]
  assert.deepEqual(samplesCompared(curvesOf(rows), "classification/accuracy"), {})
})
