import assert from "node:assert/strict"
import { test } from "node:test"

import {
  actsOf,
  devicesOf,
  outlines,
  readingOf,
  size,
  stateOf,
} from "../../../dashboard/live/charts/machines.js"

const alive = { alive: true, dead: false, silent: 0, asked: "", run: null }

test("a worker is said to do what it does", () => {
  const word = (changed) => stateOf({ ...alive, ...changed }).word
  assert.match(word({}), /waiting/)
  assert.match(word({ run: { id: "r" } }), /working/)
  assert.match(word({ asked: "drain", run: { id: "r" } }), /draining/)
  assert.match(word({ asked: "drain" }), /drained/)
  assert.match(word({ asked: "restart" }), /restarting/)
  assert.match(word({ alive: false, dead: true }), /dead/)
  assert.match(word({ alive: false, silent: 70 }), /silent, last heard 1m 10s ago/)
})

test("what can be asked follows from what was", () => {
  assert.deepEqual(actsOf(alive), ["drain", "restart"])
  assert.deepEqual(actsOf({ asked: "drain" }), ["resume", "restart"])
  assert.deepEqual(actsOf({ asked: "restart" }), ["resume"])
})

test("every device has a row, the CPU the first", () => {
  const workers = [{ device: "cuda:1" }, { device: "cpu" }, { device: "" }]
  assert.deepEqual(devicesOf(workers, { gpus: { "cuda:0": {} } }), ["cpu", "cuda:0", "cuda:1"])
  assert.deepEqual(devicesOf([], undefined), ["cpu"])
})

test("a device's figures are its own, a machine's are the CPU's", () => {
  const now = { cpu: 0.5, memory: 1, gpus: { "cuda:0": { busy: 0.9, power: 200 } } }
  const about = { memory_total: 4 }
  const curves = { cpu: [0.5], "cuda:0/busy": [0.9], "cuda:0/power": [200] }
  assert.deepEqual(readingOf("cpu", now, about, curves).loads, [0.5])
  const device = readingOf("cuda:0", now, about, curves)
  assert.equal(device.load, 0.9)
  assert.deepEqual(device.powers, [200])
  assert.equal(readingOf("cpu", undefined, undefined, undefined).load, null)
})

test("a gap stays a gap", () => {
  const parts = outlines([0, 1, null, null, 0.5], 1)
  assert.equal(parts.length, 2)
  assert.equal(parts[0].length, 2)
  assert.ok(parts[0][0][1] > parts[0][1][1])
  assert.deepEqual(outlines([null, null], null), [])
})

test("bytes as people read them", () => {
  assert.equal(size(64e9), "64\u2009GB")
  assert.equal(size(940e6), "940\u2009MB")
})
