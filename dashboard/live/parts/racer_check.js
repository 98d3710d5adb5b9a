// What a racer's figures are worth; the same rule as `reading` of jobs/race.py.

/** The reason, in a few words, that a racer's rates say nothing; "" where there is none. */
export function reading(figures, errors, { mixed, floors }) {
  const rHat = figures("sampler/r_hat")
  if (rHat !== undefined && !(rHat <= mixed))
    return `chains disagree: R-hat ${brief(rHat)} is above ${mixed}`
  const [worst] = misses(figures, errors)
  if (!worst || worst.times <= floors) return ""
  return `wrong draws: ${worst.short} ${brief(worst.times)} times what independent draws miss by`
}

/** Errors with their floors, the worst first: [{path, short, error, floor, times}]. */
export function misses(figures, errors) {
  const rows = errors.flatMap(({ path, short }) => {
    const error = figures(path)
    if (error === undefined) return []
    const ess = figures("sampler/bulk_ess")
    const floor =
      figures(`${path}/floor`) ?? (path === "error/mean" && ess > 0 ? ess ** -0.5 : undefined)
    // what is not a number is wrong without bound
    const times = floor > 0 ? (Number.isFinite(error) ? error / floor : Infinity) : NaN
    return [{ path, short, error, floor, times }]
  })
  const rank = ({ times }) => (Number.isNaN(times) ? -1 : times)
  return rows.sort((a, b) => rank(b) - rank(a))
}

function brief(value) {
  return Number.isFinite(value) ? String(Number(value.toPrecision(value < 10 ? 3 : 2))) : "∞"
}
