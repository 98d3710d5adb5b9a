// Which samples are selected: places that all pictures of a page share. Needs no browser.

const MOST = 10_000

/** Places as ranges, as a link holds them: `0,3-5`. */
export function rangesText(places) {
  const parts = []
  for (const place of [...places].sort((a, b) => a - b)) {
    const last = parts.at(-1)
    if (last && place === last[1] + 1) last[1] = place
    else parts.push([place, place])
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(",")
}

/** The places of such a text; what is none is left out. */
export function placesOf(text) {
  const places = new Set()
  for (const part of (text ?? "").split(",")) {
    const [, from, to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part) ?? []
    for (let place = Number(from); place <= Math.min(Number(to), MOST); place++) places.add(place)
  }
  return places
}

export class Selection {
  /** `changed()`: another selection. */
  constructor(text, changed) {
    this.places = placesOf(text)
    this.changed = changed
    this.at = this.places.size ? Math.min(...this.places) : null
  }

  get size() {
    return this.places.size
  }

  has(place) {
    return this.places.has(place)
  }

  text() {
    return rangesText(this.places)
  }

  /** Select these, or with `isAdded` these too; one alone that is selected already is let go. */
  choose(places, isAdded = false) {
    const [only] = places
    const isLetGo = places.length === 1 && this.has(only) && (isAdded || this.size === 1)
    const before = isAdded ? this.places : []
    this.places = new Set([...before, ...places])
    if (isLetGo) this.places.delete(only)
    this.at = places.at(-1) ?? null
    this.changed()
  }

  /** Go `by` places on among `num`: that one alone, or with `isAdded` that one too. */
  move(by, num, isAdded = false) {
    if (!num) return
    const from = this.at === null || this.at >= num ? (by > 0 ? -1 : num) : this.at
    this.at = Math.max(0, Math.min(from + by, num - 1))
    this.places = new Set([...(isAdded ? this.places : []), this.at])
    this.changed()
  }

  clear() {
    if (!this.size) return
    this.places = new Set()
    this.at = null
    this.changed()
  }
}
