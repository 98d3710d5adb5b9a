// The worth of a racer's figures, as its runs themselves judged it: the row `verdict` of their table
// `chains/diagnostics` (backend/observe/draw_reading.py). The rule stands there alone.

const TABLE = "chains/diagnostics"
const WORST_FIRST = ["wrong", "not judged", "sound"]

/** {verdict, words} of a racer by the latest frames of each of its runs, the worst of them. */
export function reading(framesOfRuns) {
  const readings = framesOfRuns
    .map((frames) => frames?.[TABLE]?.header.meta.rows.find(([name]) => name === "verdict"))
    .map((row) =>
      row
        ? { verdict: row[1], words: row[2] }
        : { verdict: "not judged", words: "not judged yet: nothing was measured" },
    )
  readings.sort((a, b) => WORST_FIRST.indexOf(a.verdict) - WORST_FIRST.indexOf(b.verdict))
  return readings[0]
}

/** Errors with their floors, the worst first: [{path, short, error, floor, times}]. */
export function misses(figures, errors) {
  const rows = errors.flatMap(({ path, short }) => {
    const error = figures(path)
    if (error === undefined) return []
    const floor = figures(`${path}/floor`)
    // without bound where the error is not a number
    const times = floor > 0 ? (Number.isFinite(error) ? error / floor : Infinity) : NaN
    return [{ path, short, error, floor, times }]
  })
  const rank = ({ times }) => (Number.isNaN(times) ? -1 : times)
  return rows.sort((a, b) => rank(b) - rank(a))
}
