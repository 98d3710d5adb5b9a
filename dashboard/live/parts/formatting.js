// Numbers as people read them; the same rules as dashboard/elements.py.

const THIN = "\u2009"
const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"

/** Three significant digits: 0.0412, 731, 73.6 k, 3.1×10⁶ beyond that. */
export function figure(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–"
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞"
  const size = Math.abs(value)
  let text
  if (size === 0) text = "0"
  else if (size < 0.001 || size >= 1e6) {
    const [mantissa, exponent] = size.toExponential(1).split("e")
    const power = exponent.replace(/\D/g, "").replace(/\d/g, (digit) => SUPERSCRIPTS[digit])
    text = `${mantissa}×10${exponent.startsWith("-") ? "⁻" : ""}${power}`
  } else if (size >= 999.5) text = count(Math.round(size))
  else
    text = size
      .toPrecision(3)
      .replace(/(\.\d*?)0+$/, "$1")
      .replace(/\.$/, "")
  return value < 0 ? `−${text}` : text
}

/** 1 840, 73.6 k, 1.2 M. */
export function count(value) {
  if (value < 9999.5) return String(Math.round(value)).replace(/(\d)(?=\d{3}$)/, `$1${THIN}`)
  const [scale, unit] = value < 999_500 ? [1e3, "k"] : value < 999_500_000 ? [1e6, "M"] : [1e9, "G"]
  return `${Number((value / scale).toPrecision(3))}${THIN}${unit}`
}

/** 41s, 1m 20s, 2h 05m. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–"
  const whole = Math.round(seconds)
  const two = (value) => String(value).padStart(2, "0")
  if (whole < 60) return `${whole}s`
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`
  return `${Math.floor(whole / 3600)}h ${two(Math.floor((whole % 3600) / 60))}m`
}

/** Three to five round numbers inside a range. */
export function ticks([low, high], most = 5) {
  const rough = (high - low) / most
  const power = 10 ** Math.floor(Math.log10(rough))
  const size = [1, 2, 5, 10].map((step) => step * power).find((step) => step >= rough)
  const values = []
  for (let value = Math.ceil(low / size) * size; value <= high; value += size) {
    values.push(Math.abs(value) < size * 1e-9 ? 0 : value)
  }
  return values
}
