// Figures of selected samples: their energy, and how far the nearest training event is. No browser.

const meanOf = (values) => {
  const finite = values.filter(Number.isFinite)
  return finite.length ? finite.reduce((sum, value) => sum + value, 0) / finite.length : NaN
}

/** Events of a frame, and numbers of each: of images their pixels in the data's units. */
function eventsOf({ header, arrays }) {
  const { data, shape } = arrays.positions ?? arrays.pixels
  const size = shape.slice(1).reduce((product, side) => product * side, 1)
  const scale = arrays.pixels ? (header.meta.high - header.meta.low) / 255 : 1
  return { data, size, scale, num: shape[0] }
}

/**
 * Distance of a sample to its nearest training event: Euclidean for points, per pixel (root mean
 * square) for images; NaN where it is not known.
 */
export function distanceOf(frame, nearest, place) {
  if (!nearest || nearest.header.kind !== frame.header.kind) return NaN
  const [a, b] = [eventsOf(frame), eventsOf(nearest)]
  if (place >= a.num || place >= b.num || a.size !== b.size) return NaN
  let sum = 0
  for (let at = place * a.size; at < (place + 1) * a.size; at++) {
    sum += (a.scale * (a.data[at] - b.data[at])) ** 2
  }
  return Math.sqrt(frame.header.kind === "images" ? sum / a.size : sum)
}

/** Of a model's samples {frame, nearest}: {num, energy, energyOfAll, distance}, means. */
export function figuresOf({ frame, nearest }, places) {
  const energies = Array.from(frame.arrays.energies?.data ?? [])
  const some = [...places].filter((place) => place < eventsOf(frame).num)
  return {
    num: some.length,
    energy: meanOf(some.map((place) => energies[place])),
    energyOfAll: meanOf(energies),
    distance: meanOf(some.map((place) => distanceOf(frame, nearest, place))),
  }
}

/** An Images frame of some images of others, [[frame, place]]. */
export function framed(images) {
  const [[first]] = images
  const size = first.arrays.pixels.shape.slice(1).reduce((product, side) => product * side, 1)
  const data = new Uint8ClampedArray(images.length * size)
  images.forEach(([{ arrays }, place], at) => {
    data.set(arrays.pixels.data.subarray(place * size, (place + 1) * size), at * size)
  })
  const shape = [images.length, ...first.arrays.pixels.shape.slice(1)]
  return { header: first.header, arrays: { pixels: { shape, data } } }
}
