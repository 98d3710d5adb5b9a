import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"

import { csvOf } from "../../../dashboard/live/stream/frame_csv.js"
import { unpack } from "../../../dashboard/live/stream/frames.js"

const golden = JSON.parse(readFileSync(process.env.GOLDEN))
const frames = golden.frames.map(({ bytes }) =>
  unpack(Uint8Array.from(Buffer.from(bytes, "base64")).buffer),
)
const tableOf = (path) => csvOf(frames.find(({ header }) => header.path === path)).split("\n")

test("exported words are no formulas", () => {
  const rows = [
    ["=HYPERLINK(1)", -1.5],
    ["-3.5", null],
    ['a "b", c', 2],
    ["+x", 1],
    ["\tx", 1],
  ]
  const header = { kind: "table", meta: { columns: ["@class", "energy"], rows } }
  const lines = [
    "'@class,energy",
    "'=HYPERLINK(1),-1.5",
    "-3.5,",
    '"a ""b"", c",2',
    "'+x,1",
    "'\tx,1",
    "",
  ]
  assert.equal(csvOf({ header, arrays: {} }), lines.join("\n"))
})

test("every kind that is drawn as a panel has its numbers as a table", () => {
  const none = frames.filter((frame) => csvOf(frame) === "").map(({ header }) => header.kind)
  assert.deepEqual(none, ["scalar", "text"])
})

test("columns are named as the frame names them", () => {
  assert.equal(tableOf("own/classes")[0], '"petal length, cm","petal width, cm",class')
  assert.equal(tableOf("own/decision")[0], "x1,x2,probability")
  assert.equal(tableOf("own/calibration")[0], "predicted,perfect,this model")
})

test("a grid's first and last point are its corners", () => {
  const lines = tableOf("own/decision")
  assert.match(lines[1], /^-2,-2,/)
  assert.match(lines.at(-2), /^2,2,/)
})
