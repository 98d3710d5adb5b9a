// Places on a picture, [x, y] in pixels: which is nearest, and which lies beside one.

export const apart = ([x, y], [otherX, otherY]) => Math.hypot(x - otherX, y - otherY)

/** The index of the place nearest to a point; null where there is none. */
export function nearest(places, point) {
  const distances = places.map((place) => apart(place, point))
  const least = Math.min(...distances)
  return Number.isFinite(least) ? distances.indexOf(least) : null
}

/** The nearest place beside that of `index` in the direction [right, down]; itself at the edge. */
export function beside(places, index, [right, down]) {
  const [x, y] = places[index]
  let [best, least] = [index, Infinity]
  places.forEach((place, other) => {
    const [dx, dy] = [place[0] - x, place[1] - y]
    const along = dx * right + dy * down
    const across = Math.abs(dx * down) + Math.abs(dy * right)
    // within 45 degrees of the direction
    if (other === index || along <= 0 || across > along) return
    const distance = Math.hypot(dx, dy)
    if (distance < least) [best, least] = [other, distance]
  })
  return best
}

/** The position [x, y] in `ranges` of a place [left, top] in a box, as `placing` put it there. */
export function positionAt([left, top], box, [xs, ys]) {
  return [
    xs[0] + ((left - box.left) / box.width) * (xs[1] - xs[0]),
    ys[0] + (1 - (top - box.top) / box.height) * (ys[1] - ys[0]),
  ]
}
