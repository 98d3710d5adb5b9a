// Figures of the columns of points that are drawn: correlations, gaps, shares, and what chance does.

/** 95 % of differences between two correlations of equal laws are less than this many errors. */
const ERRORS = 1.96
/** the median of Kolmogorov's law: the gap of two sets of one law, over √(1/n + 1/m) */
const MEDIAN_GAP = 0.828

/** The finite values of one column of a points frame. */
export function columnOf(frame, column) {
  const { shape, data } = frame.arrays.positions
  const values = []
  for (let at = column; at < data.length; at += shape[1]) {
    if (Number.isFinite(data[at])) values.push(data[at])
  }
  return values
}

/** Pearson's correlation of two columns; NaN where one does not vary. */
export function correlation(frame, first, second) {
  const { shape, data } = frame.arrays.positions
  const [num, dim] = shape
  const sums = [0, 0, 0, 0, 0]
  let counted = 0
  // about the first row, so that what is far from 0 loses no digits
  const [x0, y0] = [data[first], data[second]]
  for (let row = 0; row < num; row++) {
    const [x, y] = [data[row * dim + first] - x0, data[row * dim + second] - y0]
    if (!Number.isFinite(x) || !Number.isFinite(y)) continue
    counted++
    ;[x, y, x * x, y * y, x * y].forEach((value, place) => (sums[place] += value))
  }
  const [x, y, xx, yy, xy] = sums.map((sum) => sum / counted)
  const spread = (xx - x * x) * (yy - y * y)
  return spread > 0 ? Math.max(-1, Math.min(1, (xy - x * y) / Math.sqrt(spread))) : NaN
}

/** The difference of two correlations of one law, of n and m rows, that chance seldom exceeds. */
export function chanceOf(value, n, m) {
  return ERRORS * (1 - value * value) * Math.sqrt(1 / Math.max(n, 2) + 1 / Math.max(m, 2))
}

/** The largest gap between the cumulative shares of two sets (Kolmogorov and Smirnov). */
export function gapOf(first, second) {
  if (!first.length || !second.length) return NaN
  const [a, b] = [Float64Array.from(first).sort(), Float64Array.from(second).sort()]
  let [i, j, gap] = [0, 0, 0]
  while (i < a.length && j < b.length) {
    const value = Math.min(a[i], b[j])
    while (i < a.length && a[i] <= value) i++
    while (j < b.length && b[j] <= value) j++
    gap = Math.max(gap, Math.abs(i / a.length - j / b.length))
  }
  return gap
}

/** The gap that two independent sets of one law have, the median. */
export function gapOfChance(n, m) {
  return MEDIAN_GAP * Math.sqrt(1 / n + 1 / m)
}

/** The range of data with a tenth of it around; of one value, about it. */
export function rangeOfData(values) {
  let [low, high] = [Infinity, -Infinity]
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)]
  if (low > high) return [0, 1]
  const room = 0.1 * (high - low) || Math.max(Math.abs(low), 1) * 0.1
  return [low - room, high + room]
}

/** {shares, beyond}: shares of values in equal bins of a range, and how many lie outside. */
export function sharesOf(values, [low, high], bins) {
  const shares = Array.from({ length: bins }, () => 0)
  let beyond = 0
  for (const value of values) {
    const bin = Math.floor(((value - low) / (high - low)) * bins)
    if (bin < 0 || bin >= bins) beyond++
    else shares[bin] += 1 / values.length
  }
  return { shares, beyond }
}

/**
 * The columns to draw, in their order: all, or the `most` whose gaps are largest. Those drawn
 * `before` stay while no other differs twice as much, so that little moves.
 */
export function columnsToDraw(gaps, most, before = []) {
  const all = gaps.map((_, column) => column)
  if (all.length <= most) return all
  const size = (column) => (gaps[column] || 0) * (before.includes(column) ? 2 : 1)
  return all
    .sort((a, b) => size(b) - size(a) || a - b)
    .slice(0, most)
    .sort((a, b) => a - b)
}
