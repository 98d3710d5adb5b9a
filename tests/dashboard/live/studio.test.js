import assert from "node:assert/strict"
import { test } from "node:test"

import { placing } from "../../../dashboard/live/pictures/drawing/plane.js"
import { edgesOf } from "../../../dashboard/live/pictures/drawing/hidden_part.js"
import { energyRows } from "../../../dashboard/live/studio/energies.js"
import { Mask } from "../../../dashboard/live/studio/mask.js"
import { beside, nearest, positionAt } from "../../../dashboard/live/studio/places.js"
import { changed, commandOf, linkOf, pythonOf } from "../../../dashboard/live/studio/repeats.js"
import { REST, Stops, fieldWith, nameOf, numberIn } from "../../../dashboard/live/studio/sweep.js"

const DEFAULTS = { num: 500, label: "", on: true, sampler: { kind: "mala" } }
const answer = {
  run: "r1",
  ability: "sample",
  seed: 3,
  id: "a1",
  config: { num: 20, label: "yes", on: false, sampler: { kind: "mala" }, time: null },
}

test("only what differs from its default is repeated, and a field without one that is empty not", () => {
  assert.deepEqual(changed(answer.config, DEFAULTS), { num: 20, label: "yes", on: false })
})

test("a shell and YAML read back what was asked", () => {
  const line = `basin ask r1 sample --seed 3 --set num=20 --set 'label="yes"' --set on=false`
  assert.equal(commandOf(answer, DEFAULTS), line)
  const odd = { ...answer, config: { label: "it's", mask: "k2h1" } }
  const sets = `--set 'label="it'\\''s"' --set mask=k2h1`
  assert.equal(commandOf(odd, DEFAULTS), `basin ask r1 sample --seed 3 ${sets}`)
})

test("Python has its own words for what is on and empty", () => {
  const [, call] = pythonOf({ ...answer, config: { on: false, a: [1, "x"] } }, DEFAULTS).split("\n")
  const fields = `{"on": False, "a": [1, "x"]}`
  assert.equal(call, `answer = answering.answer("r1", "sample", ${fields}, seed=3)`)
})

test("a link carries the settings and the answer to them", () => {
  const { searchParams } = new URL(linkOf(answer, DEFAULTS, "http://x/studio?run=other&mode=1"))
  assert.deepEqual(Object.fromEntries(searchParams), {
    run: "r1",
    ability: "sample",
    answer: "a1",
    seed: "3",
    config: `{"num":20,"label":"yes","on":false}`,
  })
})

test("a stop that was answered is there at once and asks nothing", () => {
  const asked = []
  const sweep = { field: "num", place: null, stops: [0, 1, 2], cells: ["a", null, "c"] }
  const stops = new Stops(sweep, (value) => asked.push(value))
  assert.equal(stops.move(2), "c")
  assert.equal(stops.move(0), "a")
  assert.deepEqual(asked, [])
  assert.equal(stops.place(1), 1)
  assert.equal(stops.place(null), null)
})

test("a slider over one number of a list leaves the others", () => {
  const config = { num: 5, weights: [1, 0.5] }
  const [second, whole] = [
    { field: "weights", place: 1 },
    { field: "num", place: null },
  ]
  assert.equal(numberIn(config, second), 0.5)
  assert.deepEqual(fieldWith(config, second, 2), [1, 2])
  assert.deepEqual(config.weights, [1, 0.5])
  assert.deepEqual([numberIn(config, whole), fieldWith(config, whole, 7)], [5, 7])
  assert.deepEqual([nameOf(second), nameOf(whole)], ["weights/1", "num"])
})

test("only the stop where the thumb rests is asked, once", async () => {
  const asked = []
  const stops = new Stops({ stops: [0, 1, 2], cells: [null, null, "c"] }, (v) => asked.push(v))
  assert.equal(stops.move(0), null)
  stops.move(1)
  await new Promise((resolve) => setTimeout(resolve, REST + 60))
  assert.deepEqual(asked, [1])
  stops.move(0)
  stops.move(2) // back to what is known: the pending one is not asked
  await new Promise((resolve) => setTimeout(resolve, REST + 60))
  assert.deepEqual(asked, [1])
})

test("a mask is one word, and the word is the mask", () => {
  const mask = new Mask(8, 8)
  assert.equal(mask.word(), "")
  mask.stroke([2, 1], [4, 1], 1)
  assert.equal(mask.word(), "k10h3k51")
  assert.equal(new Mask(8, 8, "k10h3k51").word(), "k10h3k51")
  assert.equal(mask.count, 3)
  for (const odd of ["k10h3", "h99999", "x", "k-1h65", ""]) {
    assert.equal(new Mask(8, 8, odd).word(), "", odd)
  }
})

test("a brush is round, stays on the picture, erases, and leaves no gaps", () => {
  const mask = new Mask(5, 5)
  mask.dab(0, 0, 3)
  assert.equal(mask.count, 4)
  mask.dab(0, 0, 3, false)
  assert.equal(mask.count, 0)
  mask.stroke([0, 0], [4, 4], 1)
  assert.equal(mask.word(), "h1k5h1k5h1k5h1k5h1")
  const wide = new Mask(9, 9)
  wide.dab(4, 4, 2)
  assert.equal(wide.count, 4)
})

test("clear and invert can be undone, stroke by stroke", () => {
  const mask = new Mask(4, 1)
  mask.remember()
  mask.dab(0, 0, 1)
  mask.invert()
  assert.equal(mask.word(), "k1h3")
  mask.clear()
  assert.equal(mask.word(), "")
  assert.ok(mask.undo())
  assert.equal(mask.word(), "k1h3")
  assert.ok(mask.undo())
  assert.equal(mask.word(), "h1k3")
  assert.ok(mask.undo())
  assert.equal(mask.word(), "")
  assert.ok(!mask.undo())
})

test("arrows go to the nearest point on their side, and stay at the edge", () => {
  const places = [
    [0, 0],
    [10, 2],
    [30, 0],
    [0, 20],
  ]
  assert.equal(beside(places, 0, [1, 0]), 1)
  assert.equal(beside(places, 1, [1, 0]), 2)
  assert.equal(beside(places, 0, [0, 1]), 3)
  assert.equal(beside(places, 2, [1, 0]), 2)
  assert.equal(nearest(places, [28, 3]), 2)
  assert.equal(nearest([], [0, 0]), null)
})

test("the place under the pointer is the position that is drawn there", () => {
  const box = { left: 42, top: 8, width: 270, height: 270 }
  const ranges = [
    [-2, 4],
    [10, 30],
  ]
  const place = placing(box, ranges)(1.5, 12)
  const [x, y] = positionAt(place, box, ranges)
  assert.ok(Math.abs(x - 1.5) < 1e-9 && Math.abs(y - 12) < 1e-9)
})

test("the edge of a hidden part runs between hidden and known places alone", () => {
  // two hidden places beside each other in a corner of 3 x 2
  const edges = edgesOf({ shape: [2, 3], data: [1, 1, 0, 0, 0, 0] })
  assert.equal(edges.length, 6)
  assert.ok(!edges.some(([fromX, , toX]) => fromX === 1 && toX === 1), "none between the two")
  assert.ok(edges.some((edge) => edge.join() === "2,0,2,1"))
})

test("energies of fills and of the whole are rows beside what costs nothing", () => {
  const filled = { header: { path: "filled" }, arrays: { energies: { data: [-3, -1, NaN] } } }
  const figures = { energy: -2, "energy/whole": -4, "energy/gaussian": 1, "energy/nearest": NaN }
  const rows = energyRows(figures, [filled])
  assert.deepEqual(
    rows.map(({ name, values }) => [name, values]),
    [
      ["filled", [-3, -1]],
      ["whole", [-4]],
      ["gaussian", [1]],
    ],
  )
  assert.deepEqual(energyRows({ mse: 1 }, [filled]), [])
})
