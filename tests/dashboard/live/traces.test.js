import assert from "node:assert/strict"
import { test } from "node:test"

import { tracesOf } from "../../../dashboard/live/charts/traces.js"
import { Curves } from "../../../dashboard/live/stream/curves.js"

const colours = { data: "#102030" }
const line = { name: "", colour: ({ data }) => data }
const view = { axis: "step", zoom: null, smoothing: 0, log: false, title: "Loss", isCrowded: false }

/** A member with `values` at steps 1, 2, …. */
function member(values) {
  const curves = new Curves()
  const cost = (step) => [step, step, step, null]
  curves.add({
    header: { meta: { paths: ["a"] }, first: cost(1), last: cost(values.length) },
    arrays: { values: { shape: [values.length, 1], data: Float32Array.from(values) } },
  })
  return { curves, path: "a", columns: curves.get("a") }
}

const rising = (num) => member(Array.from({ length: num }, (_, i) => i))

test("few values are points on a line", () => {
  const { traces, notes, isBucketed } = tracesOf(line, [rising(3)], view, colours)
  assert.equal(traces.length, 1)
  assert.deepEqual(
    [traces[0].x, traces[0].y],
    [
      [1, 2, 3],
      [0, 1, 2],
    ],
  )
  assert.equal(traces[0].mode, "lines+markers")
  assert.deepEqual([notes, isBucketed], [[], false])
})

test("a smooth curve lies over a faint raw one", () => {
  const { traces } = tracesOf(line, [rising(100)], { ...view, smoothing: 0.5 }, colours)
  assert.deepEqual(
    traces.map(({ line: { color } }) => color),
    ["rgba(16,32,48,0.28)", "#102030"],
  )
  assert.ok(traces[1].y.at(-1) < traces[0].y.at(-1))
})

test("in a crowd the raw curve would hide the others", () => {
  const crowded = { ...view, smoothing: 0.5, isCrowded: true }
  assert.equal(tracesOf(line, [rising(100)], crowded, colours).traces.length, 1)
})

test("what cannot be drawn is marked at the edge and counted", () => {
  const some = member([1, NaN, Infinity, -1, 0])
  const { traces, notes } = tracesOf(line, [some], { ...view, log: true }, colours)
  assert.deepEqual(notes, ["2 not finite", "2 not above 0"])
  assert.deepEqual(traces[0].y, [1, null, null, null, null])
  assert.deepEqual(traces[1].x, [2, 3, 4, 5])
  assert.deepEqual(traces[1].text, ["–", "∞", "−1", "0"])
})

test("seeds are a band around their median", () => {
  const { traces } = tracesOf(line, [member([1, 1]), member([3, 3])], view, colours)
  const [low, high, middle] = traces.map(({ y }) => y[0])
  assert.deepEqual([low, high, middle], [1, 3, 2])
})

test("a thinned curve says so until the stretch in sight is there in full", () => {
  const many = rising(10_000)
  assert.equal(tracesOf(line, [many], view, colours).isBucketed, true)
  assert.equal(tracesOf(line, [many], { ...view, zoom: [10, 20] }, colours).isBucketed, false)
})

test("a reference is thin, and its values are not hovered", () => {
  const { traces } = tracesOf({ ...line, isReference: true }, [rising(3)], view, colours)
  assert.equal(traces[0].hoverinfo, "skip")
})
