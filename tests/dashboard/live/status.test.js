import assert from "node:assert/strict"
import { test } from "node:test"

import { nameOf, ofParent } from "../../../dashboard/live/parts/status.js"

test("a run is called by its own name, else by its data's and its preset's", () => {
  const run = { name: "", data: "file", preset: "plain_persistent", method: "m", settings: {} }
  assert.equal(nameOf({ ...run, data: "ring" }), "ring, plain persistent")
  for (const [path, name] of [
    ["/data/five_d.npy", "five_d"],
    ["C.v2.csv", "C.v2"],
    ["/data/photos/", "photos"],
    ["/data/.hidden", ".hidden"],
  ])
    assert.equal(nameOf({ ...run, settings: { "data.path": path } }), `${name}, plain persistent`)
  assert.equal(nameOf({ ...run, preset: "default" }), "file, m")
  assert.equal(nameOf({ ...run, name: "mine", settings: { "data.path": "/a.csv" } }), "mine")
})

test("of a fork's seconds it is said how many its parent trained", () => {
  const origin = { run: "a", step: 100, cost: [100, 300, 61, null] }
  assert.equal(ofParent({ forked_from: origin }), ", 1m 01s of it the parent's")
  for (const none of [null, undefined, { ...origin, cost: [] }])
    assert.equal(ofParent({ forked_from: none }), "")
})
