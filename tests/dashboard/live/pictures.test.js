import assert from "node:assert/strict"
import { test } from "node:test"

import { seedBand } from "../../../dashboard/live/charts/claim_lines.js"
import { ramp } from "../../../dashboard/live/parts/colours.js"
import { contours, rangeOf, shades } from "../../../dashboard/live/pictures/drawing/field.js"
import { axisWords } from "../../../dashboard/live/pictures/histogram.js"
import { changes } from "../../../dashboard/live/pictures/drawing/attacked.js"
import { placing, rangesOf } from "../../../dashboard/live/pictures/drawing/plane.js"
import { classesOf } from "../../../dashboard/live/pictures/drawing/points.js"
import { energyRange, tintOf, tintsOf } from "../../../dashboard/live/pictures/drawing/tints.js"
import { tableFrames } from "../../../dashboard/live/pictures/table_picture.js"

function field(values, shape, meta = {}) {
  return {
    header: { meta },
    arrays: { values: { shape, data: Float32Array.from(values) } },
  }
}

function positions(values, shape) {
  return { shape, data: Float32Array.from(values) }
}

test("an energy is drawn as a density, or from the lowest to a cut", () => {
  const frame = field([0, 2, Infinity], [1, 3], { quantity: "energy", temperature: 2 })
  assert.deepEqual(Array.from(shades(frame)), [1, Math.fround(Math.exp(-0.5)), 0])
  assert.deepEqual(Array.from(shades(frame, "energy")), [1, Math.fround(0.9), 0])
  const older = field([0, 2, Infinity], [1, 3], { temperature: 2 })
  assert.deepEqual(shades(older), shades(frame))
})

test("a probability is drawn as it is, from 0 to 1", () => {
  const shared = field([0.25, 0.5], [1, 2], { quantity: "probability_mass", colour_range: [0, 1] })
  assert.deepEqual(rangeOf(shared), [0, 1])
  assert.deepEqual(Array.from(shades(shared)), [0.25, 0.5])
  const frame = field([0.25, 0.5], [1, 2], { quantity: "probability" })
  assert.deepEqual(rangeOf(frame), [0, 1])
  assert.deepEqual(Array.from(shades(frame)), [0.25, 0.5])
})

test("another quantity is drawn over its own range, what is no number not at all", () => {
  const frame = field([-3, 1, NaN, 5], [2, 2], { quantity: "reward" })
  assert.deepEqual(rangeOf(frame), [-3, 5])
  assert.deepEqual(Array.from(shades(frame)), [0, 0.5, NaN, 1])
})

test("no contour runs through places where nothing is known", () => {
  const values = Float32Array.of(0, 1, 0, 1, NaN, 1, 0, 1, 0)
  const frame = {
    header: { meta: { quantity: "probability" } },
    arrays: { values: { shape: [3, 3], data: values } },
  }
  assert.deepEqual(contours(frame), [])
})

test("a decision map has its boundary as a contour", () => {
  const frame = field([0, 1, 0, 1], [2, 2], { quantity: "probability" })
  assert.deepEqual(contours(frame), [
    [0.25, 0, 0.25, 1],
    [0.5, 0, 0.5, 1],
    [0.75, 0, 0.75, 1],
  ])
})

test("a view of the plane stretches nothing unless its axes are of two kinds", () => {
  const cloud = positions([0, 0, 4, 1, NaN, 2], [3, 2])
  const [xs, ys] = rangesOf(cloud, { room: 0 })
  assert.deepEqual(
    [xs, ys],
    [
      [0, 4],
      [-1, 3],
    ],
  )
  assert.deepEqual(rangesOf(cloud, { room: 0, isEqual: false }), [
    [0, 4],
    [0, 2],
  ])
  assert.deepEqual(rangesOf(positions([2, 2], [2, 1]), { room: 0 })[0], [1.5, 2.5])
})

test("up is up", () => {
  const place = placing({ left: 10, top: 20, width: 100, height: 50 }, [
    [0, 1],
    [0, 1],
  ])
  assert.deepEqual(
    [place(0, 0), place(1, 1)],
    [
      [10, 70],
      [110, 20],
    ],
  )
})

test("every class has a colour, and the legend stays short", () => {
  const colours = { runs: ["#1", "#2"], muted: "#0" }
  const cloud = (labels) => ({ arrays: { labels: { data: Int32Array.from(labels) } } })
  assert.deepEqual(classesOf(cloud([2, 0, -1, 0]), colours), [
    { name: "no class", colour: "#0" },
    { name: "class 0", colour: "#1" },
    { name: "class 2", colour: "#1" },
  ])
  const many = classesOf(cloud(Array.from({ length: 20 }, (_, label) => label)), colours)
  assert.equal(many.length, 13)
  assert.equal(many.at(-1).name, "and 8 more")
  assert.deepEqual(classesOf({ arrays: {} }, colours), [])
})

test("a ramp of colours goes through its stops", () => {
  const table = ramp(["#000000", "#ffffff"])
  assert.deepEqual(Array.from(table.slice(0, 3)), [0, 0, 0])
  assert.deepEqual(Array.from(table.slice(-3)), [255, 255, 255])
})

test("a claim's band is over the seeds that got as far as all", () => {
  const seeds = [
    { x: [1, 2, 3], y: [1, 2, 3] },
    { x: [1, 2], y: [3, null] },
  ]
  assert.deepEqual(seedBand(seeds), [{ x: 1, low: 1, middle: 2, high: 3 }])
})

test("what lies beyond the axis of energies is counted in its label", () => {
  const clipped = { data: Int32Array.from([0, 0, 2, 510]) }
  const meta = { names: ["data", "noise"], unit: "nats" }
  assert.equal(
    axisWords({ header: { meta }, arrays: { clipped } }),
    "energy, nats · noise: 2 below, 510 above",
  )
})

test("a table has a picture, a landscape has its own", () => {
  const points = { header: { kind: "points" } }
  const walking = { ...points }
  const frames = { "samples/data": points, "samples/train_time": points }
  assert.equal(tableFrames(frames).chains, points)
  assert.equal(tableFrames({ ...frames, "chains/positions": walking }).chains, walking)
  assert.equal(tableFrames({ ...frames, "landscape/model": {} }), null)
  assert.equal(tableFrames({ "samples/data": { header: { kind: "images" } } }), null)
})

test("dots are coloured by energy or class where there are any, likely ones as a density's", () => {
  const colours = { sequential: ["#ffffff", "#000000"], alarm: "#ff0000", muted: "m", runs: ["r"] }
  const samples = { arrays: { energies: { data: Float32Array.of(1, 3, 2, NaN) } } }
  const data = { arrays: { labels: { data: Int32Array.of(0, -1) } } }
  assert.deepEqual(tintsOf({ data, samples, chains: undefined }), ["layer", "energy", "class"])
  assert.deepEqual(tintsOf({ samples }), ["layer", "energy"])
  assert.deepEqual(tintsOf({ data: { arrays: {} } }), ["layer"])
  const range = energyRange({ data, samples })
  assert.deepEqual(range, [1, 3])
  const energy = tintOf(samples, "energy", range, colours)
  assert.deepEqual([0, 1, 3].map(energy), ["rgb(0,0,0)", "rgb(255,255,255)", "#ff0000"])
  const classes = tintOf(data, "class", range, colours)
  assert.deepEqual([0, 1].map(classes), ["r", "m"])
  for (const tint of ["layer", "class"]) assert.equal(tintOf(samples, tint, range, colours), null)
  // one energy that is far off does not make all others one colour
  const values = Float32Array.from({ length: 201 }, (_, row) => (row ? row / 200 : 1e9))
  assert.ok(energyRange({ a: { arrays: { energies: { data: values } } } })[1] <= 1)
})

test("what an attack adds is a share of the largest change, over all colours", () => {
  const images = (values, shape) => ({
    arrays: { pixels: { shape, data: Uint8Array.from(values) } },
  })
  const grey = changes(images([0, 100, 255, 9], [2, 1, 2]), images([51, 100, 204, 0], [2, 1, 2]))
  assert.equal(grey.share, 51 / 255)
  assert.deepEqual(Array.from(grey.added), [1, 0, -1, Math.fround(-9 / 51)])
  const colour = changes(images([0, 0, 0], [1, 1, 1, 3]), images([30, 0, 0], [1, 1, 1, 3]))
  assert.deepEqual([Array.from(colour.added), colour.share], [[1], 10 / 255])
  const none = changes(images([7], [1, 1, 1]), images([7], [1, 1, 1]))
  assert.deepEqual([Array.from(none.added), none.share], [[0], 0])
})
