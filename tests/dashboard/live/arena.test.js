// The Arena's pictures and words: both sides alike, costs as measured, whatever the width.

import assert from "node:assert/strict"
import test from "node:test"

const arena = new URL("../../../dashboard/live/pictures/arena/", import.meta.url)
globalThis.window = { devicePixelRatio: 1 }
const { cellsIn, drawSide, kindOf, layout } = await import(new URL("sides.js", arena))
const { joulesInWords, secondsInWords, votesInWords } = await import(new URL("standings.js", arena))

const images = (num, side) => ({
  header: { kind: "images" },
  arrays: { pixels: { shape: [num, side, side] } },
})
const points = (dim) => ({
  header: { kind: "points" },
  arrays: { positions: { shape: [10, dim] } },
})

test("two sides fit any width, and tables stand one below the other where it is narrow", () => {
  for (const kind of ["images", "points", "table"]) {
    for (const width of [358, 768, 1376]) {
      const { gap, side, isStacked } = layout(kind, width, 500)
      assert.equal(isStacked, kind === "table" && width < 560)
      assert.ok(isStacked ? side <= width : 2 * side + gap <= width)
      assert.ok(side >= 150)
    }
  }
})

test("a narrow side shows fewer images, whole", () => {
  assert.equal(cellsIn(images(64, 8), 453), 64)
  assert.equal(cellsIn(images(64, 8), 171), 64)
  const few = cellsIn(images(64, 28), 171)
  assert.ok(few < 64 && few >= 16)
  assert.equal(cellsIn(images(64, 512), 171), 1)
})

test("events of the plane are points, all others of numbers a table", () => {
  assert.equal(kindOf(images(4, 8)), "images")
  assert.equal(kindOf(points(2)), "points")
  assert.equal(kindOf(points(5)), "table")
  assert.equal(kindOf(points(1)), "table")
})

test("costs are said as they were measured, and that they were not", () => {
  assert.equal(joulesInWords(null), "not measured")
  assert.equal(joulesInWords(undefined), "not measured")
  assert.equal(joulesInWords(0.41), "0.41 J")
  assert.equal(joulesInWords(0.0254), "25.4 mJ")
  assert.equal(joulesInWords(3200), "3.2 kJ")
  assert.equal(secondsInWords(0.0032), "3.2 ms")
  assert.equal(secondsInWords(null), "not measured")
})

test("the votes are counted in words, changed and void ones too", () => {
  const votes = { num: 148, viewers: 6, decided: 100, changed: 8, void: 2 }
  assert.equal(
    votesInWords(votes),
    "148 votes by 6 people · 8 % changed once joules were known · 2 void",
  )
  const one = { num: 1, viewers: 1, decided: 0, changed: 0, void: 0 }
  assert.equal(votesInWords(one), "1 vote by 1 person")
})

test("points beyond the picture of a side are counted at its edges", () => {
  const written = []
  const context = new Proxy(
    { fillText: (text) => written.push(text), measureText: () => ({ width: 10 }) },
    { get: (target, name) => target[name] ?? (() => {}), set: () => true },
  )
  const canvas = { style: {}, getContext: () => context }
  const cloud = (...data) => ({
    header: { kind: "points" },
    arrays: { positions: { shape: [data.length / 2, 2], data: Float32Array.from(data) } },
  })
  const reference = cloud(0, 0, 1, 1)
  drawSide(canvas, cloud(0.5, 0.5, 9, 0.5, 8, 0.5, 0.5, -7), reference, 200, {
    data: "#888888",
    samples: "#aa5500",
    text: "#000000",
  })
  assert.deepEqual(written, ["▶ 2", "▼ 1"])
})
