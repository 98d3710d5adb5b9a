// Reads the binary frames of backend/events.py.

const HEAD = 12
const MAGIC = 0x314e5342 // "BSN1", read as a little-endian number
const ARRAYS = {
  f4: Float32Array,
  f8: Float64Array,
  i4: Int32Array,
  i8: BigInt64Array,
  u1: Uint8Array,
}

/** {header, arrays: {name: {shape, data}}} of the frame at `start` of an ArrayBuffer. */
export function unpack(buffer, start = 0) {
  const view = new DataView(buffer, start)
  const headerSize = view.getUint32(4, true)
  const body = start + HEAD + headerSize
  const text = new TextDecoder().decode(new Uint8Array(buffer, start + HEAD, headerSize))
  const header = JSON.parse(text)
  const arrays = {}
  for (const [name, code, shape, offset] of header.arrays) {
    const length = shape.reduce((product, size) => product * size, 1)
    // frames and their arrays begin at multiples of 8 bytes
    const data = new ARRAYS[code](buffer, body + offset, length)
    arrays[name] = { shape, data: code === "i8" ? Float64Array.from(data, Number) : data }
  }
  delete header.arrays
  return { header, arrays }
}

/** Every frame of a message: they lie end to end. One that cannot be read leaves null in its place. */
export function unpackAll(buffer) {
  const view = new DataView(buffer)
  const frames = []
  for (let at = 0; at + HEAD <= buffer.byteLength;) {
    const size = HEAD + view.getUint32(at + 4, true) + view.getUint32(at + 8, true)
    // where the next one begins is not known then
    if (view.getUint32(at, true) !== MAGIC || at + size > buffer.byteLength)
      return [...frames, null]
    try {
      frames.push(unpack(buffer, at))
    } catch {
      frames.push(null)
    }
    at += size
  }
  return frames
}

/** Rows of a scalar block by path: {path: {step, gradients, seconds, joules, value}}. */
export function rows(frame) {
  const { header, arrays } = frame
  const byPath = {}
  if (arrays.value) {
    byPath[header.meta.paths[0]] = Object.fromEntries(
      ["step", "gradients", "seconds", "joules", "value"].map((name) => [name, arrays[name].data]),
    )
    return byPath
  }
  const paths = header.meta.paths
  const [count] = arrays.values.shape
  const cost = (index) => {
    const [first, last] = [header.first[index], header.last[index]]
    const column = new Float64Array(count)
    for (let row = 0; row < count; row++) {
      // Rows lie evenly from first to last; a single row lies at last.
      const share = count > 1 ? row / (count - 1) : 1
      column[row] = first === null || last === null ? NaN : first + share * (last - first)
      if (index < 2) column[row] = Math.round(column[row])
    }
    return column
  }
  const [step, gradients, seconds, joules] = [0, 1, 2, 3].map(cost)
  paths.forEach((path, column) => {
    const value = new Float32Array(count)
    for (let row = 0; row < count; row++) {
      value[row] = arrays.values.data[row * paths.length + column]
    }
    byPath[path] = { step, gradients, seconds, joules, value }
  })
  return byPath
}
