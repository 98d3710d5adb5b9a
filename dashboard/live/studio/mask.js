// A mask drawn place by place, as one word: `k20h8k36` is 20 places known, 8 hidden, 36 known; the
// same words as backend/requests/masks.py.

const MOST_UNDONE = 100

export class Mask {
  constructor(width, height, word = "") {
    Object.assign(this, { width, height, hidden: new Uint8Array(width * height), past: [] })
    this.read(word)
  }

  /** Take a word of so many places; another one hides nothing. */
  read(word) {
    this.hidden.fill(0)
    if (!/^([kh]\d{1,9})+$/.test(word)) return
    const runs = [...word.matchAll(/([kh])(\d+)/g)].map(([, letter, num]) => [letter, Number(num)])
    if (runs.reduce((total, [, num]) => total + num, 0) !== this.hidden.length) return
    let at = 0
    for (const [letter, num] of runs) {
      if (letter === "h") this.hidden.fill(1, at, at + num)
      at += num
    }
  }

  /** The word, or "" where nothing is hidden. */
  word() {
    if (!this.hidden.includes(1)) return ""
    let text = ""
    for (let from = 0, to = 0; from < this.hidden.length; from = to) {
      while (to < this.hidden.length && this.hidden[to] === this.hidden[from]) to++
      text += `${this.hidden[from] ? "h" : "k"}${to - from}`
    }
    return text
  }

  get count() {
    return this.hidden.reduce((sum, value) => sum + value, 0)
  }

  /** Keep how it stands, for `undo`; once for a whole stroke. */
  remember() {
    this.past.push(this.hidden.slice())
    if (this.past.length > MOST_UNDONE) this.past.shift()
  }

  undo() {
    const before = this.past.pop()
    if (before) this.hidden.set(before)
    return Boolean(before)
  }

  clear() {
    this.remember()
    this.hidden.fill(0)
  }

  invert() {
    this.remember()
    this.hidden.forEach((value, at) => (this.hidden[at] = 1 - value))
  }

  /** Hide, or show again, the places under a round brush `size` places wide, at (column, row). */
  dab(column, row, size, hides = true) {
    const radius = size / 2
    const [x, y] = size % 2 ? [column, row] : [column - 0.5, row - 0.5]
    const reach = Math.ceil(radius)
    for (
      let line = Math.max(row - reach, 0);
      line <= Math.min(row + reach, this.height - 1);
      line++
    ) {
      const [first, last] = [Math.max(column - reach, 0), Math.min(column + reach, this.width - 1)]
      for (let place = first; place <= last; place++) {
        if (Math.hypot(place - x, line - y) < radius) {
          this.hidden[line * this.width + place] = hides ? 1 : 0
        }
      }
    }
  }

  /** The same along a line, so that a quick pointer leaves no gaps. */
  stroke([fromColumn, fromRow], [column, row], size, hides = true) {
    const steps = Math.max(Math.abs(column - fromColumn), Math.abs(row - fromRow), 1)
    for (let step = 0; step <= steps; step++) {
      const share = step / steps
      const x = Math.round(fromColumn + share * (column - fromColumn))
      const y = Math.round(fromRow + share * (row - fromRow))
      this.dab(x, y, size, hides)
    }
  }
}
