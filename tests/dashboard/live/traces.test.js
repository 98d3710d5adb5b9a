import assert from "node:assert/strict"
import { test } from "node:test"

import { rangeOf, tracesOf } from "../../../dashboard/live/charts/traces.js"
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

test("a handful of values are points without a line", () => {
  const { traces, notes, isBucketed } = tracesOf(line, [rising(3)], view, colours)
  assert.equal(traces.length, 1)
  assert.deepEqual(
    [traces[0].x, traces[0].y],
    [
      [1, 2, 3],
      [0, 1, 2],
    ],
  )
  assert.equal(traces[0].mode, "markers")
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

test("seeds are a band around their median, with an edge, and are named", () => {
  const flat = (height) => member(Array.from({ length: 9 }, () => height))
  const { traces, notes } = tracesOf(line, [flat(1), flat(3)], view, colours)
  const [low, high, middle] = traces.map(({ y }) => y[0])
  assert.deepEqual([low, high, middle], [1, 3, 2])
  assert.ok(traces[0].line.width > 0)
  assert.deepEqual(notes, ["median of 2 seeds, band their range"])
  const many = tracesOf(line, [1, 2, 3, 4, 5, 6].map(flat), view, colours)
  assert.deepEqual(many.notes, ["median of 6 seeds, band 10 to 90 % of them"])
})

test("a handful of values of several seeds are dots, no band", () => {
  const { traces, notes } = tracesOf(line, [member([1, 2]), member([3])], view, colours)
  assert.deepEqual(
    traces.map(({ mode, x, y }) => [mode, x, y]),
    [["markers", [1, 2, 1], [1, 2, 3]]],
  )
  assert.deepEqual(notes, ["a dot for each of 2 seeds"])
})

test("a final figure of more samples stands apart from its curve, over seeds with its range", () => {
  const apart = (values) => ({ ...member(values), isFinalApart: true })
  const rises = Array.from({ length: 10 }, (_, i) => 10 + i)
  const { traces } = tracesOf(line, [apart([...rises, 0.5])], view, colours)
  assert.deepEqual(traces[0].y, rises)
  assert.deepEqual([traces[1].x, traces[1].y, traces[1].mode], [[11], [0.5], "markers"])
  assert.equal(traces[1].error_y.visible, false)
  const both = tracesOf(line, [apart([...rises, 0.5]), apart([...rises, 1])], view, colours)
  const { y, error_y: bar } = both.traces.at(-1)
  assert.deepEqual([y, bar.array, bar.arrayminus, bar.visible], [[0.75], [0.25], [0.25], true])
})

test("a zoom shows its stretch at full height", () => {
  const { traces } = tracesOf(line, [rising(100)], view, colours)
  const seen = { log: false, references: [1000] }
  assert.equal(rangeOf(traces, { ...seen, zoom: null }), null)
  const [low, high] = rangeOf(traces, { ...seen, zoom: [10, 20] })
  assert.ok(low < 9 && low > 8 && high > 19 && high < 20, String([low, high]))
})

test("a handful of points near their floor get a decade, the floor in sight", () => {
  const { traces } = tracesOf(line, [member([0.018, 0.008])], { ...view, log: true }, colours)
  const [low, high] = rangeOf(traces, { zoom: null, log: true, references: [0.0105, undefined] })
  assert.ok(high - low >= 1 && low < Math.log10(0.008) && high > Math.log10(0.018))
  const far = rangeOf(traces, { zoom: null, log: true, references: [1e-5] })
  assert.ok(far[0] < -5)
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
