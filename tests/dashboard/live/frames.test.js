import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"

import { rows, unpack, unpackAll } from "../../../dashboard/live/stream/frames.js"

const golden = JSON.parse(readFileSync(process.env.GOLDEN))

function bytesOf(text) {
  return Uint8Array.from(Buffer.from(text, "base64"))
}

function joined(...parts) {
  return Uint8Array.from(parts.flatMap((part) => [...part])).buffer
}

test("every kind of frame, and of array, is read as it was packed", () => {
  const kinds = [...new Set(golden.frames.map(({ header }) => header.kind))]
  assert.deepEqual(kinds.sort(), golden.kinds.sort())
  for (const { bytes, header, arrays } of [golden.every_dtype, ...golden.frames]) {
    const frame = unpack(bytesOf(bytes).buffer)
    assert.deepEqual(frame.header, header)
    const plain = Object.entries(frame.arrays).map(([name, { shape, data }]) => [
      name,
      { shape, data: Array.from(data) },
    ])
    assert.deepEqual(Object.fromEntries(plain), arrays)
  }
})

test("frames lie end to end in a message", () => {
  const message = joined(...golden.frames.map(({ bytes }) => bytesOf(bytes)))
  const paths = unpackAll(message).map(({ header }) => header.path)
  assert.deepEqual(
    paths,
    golden.frames.map(({ header }) => header.path),
  )
})

test("a frame that cannot be read costs that frame alone", () => {
  const [first, second] = golden.frames.map(({ bytes }) => bytesOf(bytes))
  const damaged = Uint8Array.from(first)
  damaged[12] = 0
  const read = unpackAll(joined(damaged, second))
  assert.equal(read[0], null)
  assert.equal(read[1].header.seq, 1)
})

test("what comes after a torn or foreign frame is not guessed", () => {
  const [first, second] = golden.frames.map(({ bytes }) => bytesOf(bytes))
  assert.deepEqual(
    unpackAll(joined(first, second.slice(0, -8))).map((frame) => frame?.header.seq ?? null),
    [0, null],
  )
  assert.deepEqual(unpackAll(joined(new Uint8Array(16), first)), [null])
})

test("rows of a block lie evenly between its costs", () => {
  const { x, y } = rows(unpack(bytesOf(golden.block).buffer))
  assert.deepEqual(Array.from(x.step), [10, 11, 12])
  assert.deepEqual(Array.from(x.gradients), [20, 40, 60])
  assert.deepEqual(Array.from(x.seconds), [1, 1.5, 2])
  assert.ok(x.joules.every(Number.isNaN))
  assert.deepEqual(
    [Array.from(x.value), Array.from(y.value)],
    [
      [1, 3, 5],
      [2, 4, 6],
    ],
  )
})
