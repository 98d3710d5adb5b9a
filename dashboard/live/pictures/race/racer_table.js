// The racers' diagnostics, a row each: rates stand beside the check against the truth, and are
// struck where that check fails, so that a fast wrong sampler is not read as a winner.

import { make } from "../../parts/dom.js"
import { figure } from "../../parts/formatting.js"
import { misses } from "./racer_check.js"

const COLUMNS = [
  ["acceptance", "sampler/acceptance_rate"],
  ["step size", "sampler/step_size", "wide"],
  ["R-hat", "sampler/r_hat"],
  ["bulk ESS", "sampler/bulk_ess"],
  ["tail ESS", "sampler/tail_ess", "wide"],
]
const RATES = [
  ["ESS per second", "sampler/ess_per_second"],
  ["ESS per 1k gradients", "sampler/ess_per_kilogradient"],
  ["ESS per joule", "sampler/ess_per_joule"],
]

export class RacerTable {
  constructor() {
    this.where = make("span.bl-muted")
    this.body = make("div.bl-scroll")
    this.note = make("p.bl-muted")
    this.slot = make(
      "section.bl-panel.bl-diagnostics",
      {},
      make("header", {}, make("h2", {}, "Diagnostics"), this.where),
      this.body,
      this.note,
    )
  }

  /**
   * `racers`: [{title, colour, exact, bias, figures(path), reading: {verdict, words}, ended: how, if
   * badly}]; `where`: of which moment, in words; `errors`: [{path, short}].
   */
  show(racers, where, errors) {
    const known = (path) => racers.some(({ figures }) => figures(path) !== undefined)
    const columns = COLUMNS.filter(([, path]) => known(path))
    const rates = RATES.filter(([, path]) => known(path))
    const judged = racers.map((racer) => {
      const { verdict, words } = racer.reading
      const bad = racer.ended || (verdict === "wrong" ? words : "")
      // a rate counts where nothing is known against it and something is known for it
      const doubt = racer.ended || (verdict === "sound" ? "" : words)
      return { ...racer, bad, doubt, words, worst: misses(racer.figures, errors)[0] }
    })
    const hasTruth = judged.some(({ worst }) => worst)
    const rows = judged.map((racer) => row(racer, columns, rates, hasTruth, best(judged, rates)))
    const head = [
      "racer",
      "draws",
      ...columns.map(([name]) => name),
      ...rates.map(([name]) => name),
      ...(hasTruth ? ["worst error", "against floor"] : []),
      "reading",
    ]
    const wide = [
      "",
      "",
      ...columns.map(([, , width]) => width),
      ...rates.map(() => ""),
      ...(hasTruth ? ["", ""] : []),
      "words",
    ]
    const key = JSON.stringify([
      head,
      rows.map((cells) => cells.map(({ text, kind }) => [text, kind])),
      where,
    ])
    if (key === this.key) return
    this.key = key
    this.where.textContent = where
    this.body.replaceChildren(
      make(
        "table",
        {},
        make(
          "thead",
          {},
          make("tr", {}, ...head.map((name, at) => make(tag("th", wide[at]), {}, name))),
        ),
        make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map(cellOf)))),
      ),
    )
    this.note.textContent = !known("sampler/r_hat")
      ? ""
      : hasTruth
        ? "A struck rate is not to be read: the reading says why."
        : "The truth of this target is not known: only whether the chains agree can be checked, and " +
          "chains that agree may all have missed the same modes."
  }
}

function tag(name, kind) {
  return kind ? `${name}.${kind}` : name
}

/** The best rate of each column among those that count. */
function best(racers, rates) {
  return rates.map(([, path]) => {
    const values = racers
      .filter(({ doubt }) => !doubt)
      .map(({ figures }) => figures(path))
      .filter(Number.isFinite)
    return values.length > 1 ? Math.max(...values) : null
  })
}

function row(racer, columns, rates, hasTruth, highest) {
  const { title, colour, exact, bias, figures, bad, doubt, words, worst } = racer
  const draws = exact === null ? "–" : exact ? "exact" : "biased"
  const cells = [
    { text: title, kind: "name", colour },
    { text: draws, title: bias },
  ]
  for (const [, path, width] of columns) {
    const value = figures(path)
    const text = Number.isNaN(value) ? "not finite" : figure(value)
    cells.push({ text, title: value, kind: width })
  }
  rates.forEach(([, path], at) => {
    const value = figures(path)
    const kind = doubt ? "void" : value !== undefined && value === highest[at] ? "best" : ""
    cells.push({ text: figure(value), title: doubt || value, kind })
  })
  if (hasTruth) {
    cells.push({ text: worst ? `${figure(worst.error)} ${worst.short}` : "–", title: worst?.error })
    cells.push({ text: worst && !Number.isNaN(worst.times) ? `${figure(worst.times)} ×` : "–" })
  }
  cells.push({ text: bad || words, kind: bad ? "words.bl-wrong" : "words" })
  return cells
}

function cellOf({ text, kind, title, colour }) {
  const cell = make(tag("td", kind), { title: title === undefined ? "" : String(title) })
  if (colour) {
    const mark = make("i.bl-mark")
    mark.style.background = colour
    cell.append(mark)
  }
  cell.append(kind === "words.bl-wrong" ? `✕ ${text}` : text)
  return cell
}
