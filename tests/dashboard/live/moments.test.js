import assert from "node:assert/strict"
import { test } from "node:test"

import { Moments } from "../../../dashboard/live/comparing/moments.js"

const PATH = "samples/long_run"
const frameOf = (run, step, numBytes = 8) => ({
  header: { run, last: [step] },
  arrays: { pixels: { shape: [1], data: new Uint8Array(numBytes) } },
})

function momentsOf(stepsOf, numBytes) {
  const asked = []
  const moments = new Moments(
    async (run, step) => {
      asked.push([run, step])
      return frameOf(run, step, numBytes)
    },
    () => {},
  )
  for (const [run, steps] of Object.entries(stepsOf)) moments.know(run, { [PATH]: steps })
  return { moments, asked }
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 20))

test("the slider has every step that any run recorded, in order", () => {
  const { moments } = momentsOf({ a: [0, 10, 20], b: [5, 20] })
  assert.deepEqual(moments.steps(["a", "b"], PATH), [0, 5, 10, 20])
})

test("of two steps the nearest counts, and the earlier of two as near", () => {
  const { moments } = momentsOf({ a: [0, 10, 30] })
  const near = [0, 4, 5, 6, 21, 99].map((step) => moments.nearest("a", PATH, step))
  assert.deepEqual(near, [0, 0, 0, 10, 30, 30])
  assert.equal(moments.nearest("b", PATH, 3), null)
})

test("what is looked at is fetched first, then what lies around it, each once", async () => {
  const { moments, asked } = momentsOf({ a: [0, 10, 20, 30], b: [0, 30] })
  moments.look(["a", "b"], PATH, 20)
  await settled()
  assert.deepEqual(asked[0], ["a", 20])
  assert.equal(asked.length, 6)
  assert.equal(moments.get("a", PATH, 22).header.last[0], 20)
  moments.look(["a", "b"], PATH, 0)
  await settled()
  assert.equal(asked.length, 6)
})

test("frames far away are left where they are once there is no room for more", async () => {
  const steps = Array.from({ length: 50 }, (_, index) => index)
  const { moments } = momentsOf({ a: steps }, 10e6)
  moments.look(["a"], PATH, 25)
  await settled()
  assert.ok(moments.numBytes <= 96e6)
  assert.ok(moments.get("a", PATH, 25) && moments.get("a", PATH, 26))
  moments.look(["a"], PATH, 0)
  await settled()
  assert.ok(moments.numBytes <= 96e6)
  assert.ok(moments.get("a", PATH, 0))
})
