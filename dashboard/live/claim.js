// The deciding picture of a claim, and the seeds that decide it. Drawn whole from a few figures.

import { coloursOf } from "./parts/colours.js"
import { make, rootOf } from "./parts/dom.js"
import { figure } from "./parts/formatting.js"
import { apart, median, scaleOf, short, svgOf } from "./charts/small_charts.js"

const PAD = { left: 46, top: 8, bottom: 40 }
const HEIGHT = 264
const ROW = 30
const DASHES = ["", "6 3", "2 3", "8 3 2 3"]

export function mount(slot, component) {
  let { data } = component
  const { root, unwatch } = rootOf(slot, () => draw())
  const left = panel()
  const right = panel()
  root.append(make("div.bl-claim", {}, left.section, right.section))
  let drawn = ""
  function draw() {
    const colours = coloursOf(root)
    const key = JSON.stringify([
      data.picture,
      data.seeds,
      left.body.clientWidth,
      right.body.clientWidth,
      colours.bg,
    ])
    if (key === drawn) return
    drawn = key
    drawPicture(left, data.picture, colours)
    drawSeeds(right, data.seeds, data.compared, colours)
  }
  const sizes = new ResizeObserver(draw)
  sizes.observe(root)
  return {
    update: (next) => {
      data = next
      draw()
    },
    unmount: () => {
      sizes.disconnect()
      unwatch()
    },
  }
}

function panel() {
  const title = make("h3")
  const about = make("span.bl-muted")
  const body = make("div.bl-claim-body")
  const table = make("div.bl-scroll")
  const more = make(
    "details.bl-muted",
    {},
    make("summary", { textContent: "Show as a table" }),
    table,
  )
  const section = make("section.bl-panel", {}, make("header", {}, title, about), body, more)
  return { section, title, about, body, table, more }
}

function fill(target, { title, about, svg, words, head, rows }) {
  target.title.textContent = title
  target.about.textContent = about
  svg.setAttribute("role", "img")
  svg.setAttribute("aria-label", words)
  target.body.replaceChildren(svg)
  target.more.hidden = !rows.length
  target.table.replaceChildren(
    make(
      "table",
      {},
      make("thead", {}, make("tr", {}, ...head.map((name) => make("th", {}, name)))),
      make(
        "tbody",
        {},
        ...rows.map((row) => make("tr", {}, ...row.map((cell) => make("td", {}, cell)))),
      ),
    ),
  )
}

// ---------------------------------------------------------------------- drawing

function drawPicture(target, picture, colours) {
  if (picture.kind === "dots") drawDots(target, picture, colours)
  else drawLines(target, picture, colours)
}

/** Median and range over the seeds at every x that all have. */
function band(seeds) {
  const by = new Map()
  for (const { x, y } of seeds) {
    x.forEach((place, index) => {
      if (y[index] === null) return
      if (!by.has(place)) by.set(place, [])
      by.get(place).push(y[index])
    })
  }
  const most = Math.max(0, ...[...by.values()].map((values) => values.length))
  return [...by]
    .filter(([, values]) => values.length === most)
    .sort(([a], [b]) => a - b)
    .map(([x, values]) => ({
      x,
      low: Math.min(...values),
      middle: median(values),
      high: Math.max(...values),
    }))
}

function drawLines(target, picture, colours) {
  const width = Math.max(target.body.clientWidth, 260)
  const lines = picture.lines
    .map((line) => ({ ...line, band: band(line.seeds) }))
    .filter((line) => line.band.length)
  const svg = svgOf(width, HEIGHT)
  const wide = Math.min(
    Math.max(0, ...lines.map((line) => line.title.length * 6.4 + 14)),
    width * 0.34,
  )
  const [right, bottom] = [width - wide - 8, HEIGHT - PAD.bottom]
  const xs = lines.flatMap((line) => line.band.map(({ x }) => x))
  const ys = lines.flatMap((line) => line.band.flatMap(({ low, high }) => [low, high]))
  const x = scaleOf(xs, picture.log_x, [PAD.left, right])
  const y = scaleOf(ys, picture.log_y, [bottom, PAD.top], {
    include: picture.floor === null ? [] : [picture.floor],
  })
  for (const tick of y.ticks) {
    svg.line(PAD.left, y.at(tick), right, y.at(tick), colours.line)
    svg.words(figure(tick), PAD.left - 6, y.at(tick), colours.muted, { "text-anchor": "end" })
  }
  for (const tick of picture.ticks ?? x.ticks) {
    svg.words(figure(tick), x.at(tick), bottom + 14, colours.muted, { "text-anchor": "middle" })
  }
  svg.words(picture.x_title, right, bottom + 31, colours.muted, { "text-anchor": "end" })
  if (picture.at !== null && picture.at !== undefined && lines.length) {
    svg.line(x.at(picture.at), PAD.top, x.at(picture.at), bottom, colours.muted)
    const onLeft = x.at(picture.at) > (PAD.left + right) / 2
    svg.words("compared here", x.at(picture.at) + (onLeft ? -5 : 5), bottom - 8, colours.muted, {
      "text-anchor": onLeft ? "end" : "start",
    })
  }
  if (picture.floor !== null && y.fits(picture.floor)) {
    svg.line(PAD.left, y.at(picture.floor), right, y.at(picture.floor), colours.muted, {
      "stroke-dasharray": "2 3",
    })
    svg.words(
      `floor ${figure(picture.floor)}`,
      PAD.left + 4,
      y.at(picture.floor) - 8,
      colours.muted,
    )
  }
  const ends = lines.map((line) => drawLine(svg, line, x, y, colours))
  apart(ends, PAD.top + 6, bottom)
  for (const { label, place, colour } of ends) {
    svg.words(short(label, wide), right + 8, place, colour, { "font-weight": 600 })
  }
  if (!lines.length)
    svg.words("The first figures come when a run ends.", width / 2, HEIGHT / 2, colours.muted, {
      "text-anchor": "middle",
    })
  const places = [...new Set(xs)].sort((a, b) => a - b)
  fill(target, {
    svg,
    title: "The deciding picture",
    about: `${picture.title}${lines.some((line) => line.seeds.length > 1) ? "; band: range over seeds" : ""}`,
    words:
      `${picture.title} by ${picture.x_title}: ` +
      lines.map((line) => `${line.title} ends at ${figure(line.band.at(-1).middle)}`).join(", ") +
      ".",
    head: [picture.x_title, ...lines.map((line) => line.title)],
    rows: places.slice(-40).map((place) => [
      figure(place),
      ...lines.map((line) => {
        const found = line.band.find((each) => each.x === place)
        return found ? figure(found.middle) : "–"
      }),
    ]),
  })
}

function drawLine(svg, line, x, y, colours) {
  const colour = colours.runs[line.colour % colours.runs.length]
  const shown = line.band.filter(({ low, middle }) => y.fits(low) && y.fits(middle))
  if (!shown.length) return { label: line.title, place: HEIGHT / 2, colour }
  const up = shown.map((each) => `${x.at(each.x)},${y.at(each.high)}`)
  const down = shown.map((each) => `${x.at(each.x)},${y.at(each.low)}`).reverse()
  svg.add("polygon", { points: [...up, ...down].join(" "), fill: colour, "fill-opacity": 0.16 })
  const points = shown.map((each) => `${x.at(each.x)},${y.at(each.middle)}`).join(" ")
  svg.add("polyline", {
    points,
    fill: "none",
    stroke: colour,
    "stroke-width": 1.8,
    "stroke-dasharray": DASHES[Math.floor(line.colour / 6) % DASHES.length],
  })
  const few = shown.length <= 16 ? shown : [shown.at(-1)]
  for (const each of few) {
    svg.dot(
      x.at(each.x),
      y.at(each.middle),
      3.2,
      colour,
      `${line.title}: ${figure(each.middle)} (${figure(each.low)} to ${figure(each.high)}) at ${figure(each.x)}`,
    )
  }
  return { label: line.title, place: y.at(shown.at(-1).middle), colour }
}

function drawDots(target, picture, colours) {
  const width = Math.max(target.body.clientWidth, 260)
  const rows = picture.rows
  const several = new Set(rows.map((row) => row.about)).size > 1
  const height = Math.max(120, rows.length * (several ? ROW + 10 : ROW) + PAD.bottom + PAD.top)
  const svg = svgOf(width, height)
  const left = Math.min(
    width * 0.44,
    Math.max(
      90,
      ...rows.map((row) => Math.max(row.title.length, several ? row.about.length : 0) * 6.3 + 12),
    ),
  )
  const [right, bottom] = [width - 56, height - PAD.bottom]
  const floors = rows.map((row) => row.floor).filter((value) => value !== null)
  const x = scaleOf(
    rows.flatMap((row) => row.values),
    picture.log,
    [left, right],
    { zero: true, include: floors },
  )
  for (const tick of x.ticks) {
    svg.line(x.at(tick), PAD.top, x.at(tick), bottom, colours.line)
    svg.words(figure(tick), x.at(tick), bottom + 14, colours.muted, { "text-anchor": "middle" })
  }
  const unit = [picture.unit, picture.log ? "log" : ""].filter(Boolean).join(", ")
  svg.words(unit || "", right, bottom + 31, colours.muted, { "text-anchor": "end" })
  rows.forEach((row, index) => {
    const y = PAD.top + (index + 0.5) * ((bottom - PAD.top) / rows.length)
    const colour = colours.runs[row.colour % colours.runs.length]
    svg.words(short(row.title, left - 12), left - 10, several ? y - 7 : y, colours.text, {
      "text-anchor": "end",
      "font-weight": 600,
    })
    if (several)
      svg.words(short(row.about, left - 12), left - 10, y + 8, colours.muted, {
        "text-anchor": "end",
      })
    const values = row.values.filter(x.fits)
    if (row.floor !== null && x.fits(row.floor)) {
      svg.line(x.at(row.floor), y - 9, x.at(row.floor), y + 9, colours.muted, {
        "stroke-dasharray": "2 2",
      })
    }
    if (!values.length) {
      svg.words("no figure yet", left + 4, y, colours.muted)
      return
    }
    svg.line(x.at(Math.min(...values)), y, x.at(Math.max(...values)), y, colour, {
      "stroke-width": 2,
      "stroke-opacity": 0.4,
    })
    for (const value of values)
      svg.dot(x.at(value), y, 4, colour, `${row.title}: ${figure(value)}`, { "fill-opacity": 0.85 })
    svg.words(figure(median(values)), Math.max(...values.map(x.at)) + 9, y, colour, {
      "font-weight": 600,
    })
  })
  const about = `${several ? "" : picture.title}${several ? "" : "; "}a dot a seed, the median in figures${floors.length ? ", dotted: the floor" : ""}`
  fill(target, {
    svg,
    title: "The deciding picture",
    about,
    words:
      rows
        .map(
          (row) =>
            `${row.title}, ${row.about}: ${row.values.length ? figure(median(row.values)) : "no figure yet"}`,
        )
        .join("; ") + ".",
    head: ["variant", "figure", "seeds", "floor"],
    rows: rows.map((row) => [
      row.title,
      row.about,
      row.values.map(figure).join(", ") || "–",
      figure(row.floor),
    ]),
  })
}

function drawSeeds(target, seeds, compared, colours) {
  const width = Math.max(target.body.clientWidth, 220)
  const found = [...seeds.readings].sort((a, b) => (a.value ?? Infinity) - (b.value ?? Infinity))
  const height = Math.max(120, (found.length + 1) * ROW + PAD.bottom + PAD.top)
  const svg = svgOf(width, height)
  const [left, right, bottom] = [58, width - 62, height - PAD.bottom]
  const values = found.map(({ value }) => value).filter(Number.isFinite)
  const from = seeds.neutral ?? (values.length && Math.min(...values) > 0 ? 0 : null)
  const wide =
    seeds.compares === "ratio" &&
    values.length &&
    Math.max(...values, seeds.target) / Math.max(Math.min(...values, seeds.target), 1e-12) > 30
  const x = scaleOf(values, wide, [left, right], {
    include: [seeds.target, ...(from === null ? [] : [from])],
  })
  for (const tick of x.ticks) {
    svg.line(x.at(tick), PAD.top, x.at(tick), bottom, colours.line)
    svg.words(figure(tick), x.at(tick), bottom + 14, colours.muted, { "text-anchor": "middle" })
  }
  const side =
    seeds.relation === ">="
      ? "right of the line meets the claim"
      : "left of the line meets the claim"
  svg.words(
    [seeds.compares, wide ? "log" : ""].filter(Boolean).join(", "),
    right,
    bottom + 31,
    colours.muted,
    { "text-anchor": "end" },
  )
  svg.line(x.at(seeds.target), PAD.top, x.at(seeds.target), bottom, colours.text, {
    "stroke-dasharray": "2 3",
  })
  svg.words(`target ${figure(seeds.target)}`, x.at(seeds.target), bottom + 31, colours.text, {
    "text-anchor": x.at(seeds.target) > width / 2 ? "end" : "start",
  })
  const start = from === null || !x.fits(from) ? left : x.at(from)
  found.forEach(({ seed, value, note }, index) => {
    const y = PAD.top + (index + 0.5) * ROW
    svg.words(`seed ${seed}`, left - 10, y, colours.muted, { "text-anchor": "end" })
    if (value === null || !x.fits(value)) {
      svg.words(value === null ? note : figure(value), left + 6, y, colours.alarm)
      return
    }
    svg.line(start, y, x.at(value), y, colours.runs[0], {
      "stroke-width": 2,
      "stroke-opacity": 0.5,
    })
    svg.dot(x.at(value), y, 4.5, colours.runs[0], `seed ${seed}: ${figure(value)}`)
    svg.words(figure(value), Math.max(x.at(value), start) + 9, y, colours.text)
  })
  if (values.length > 1) {
    const y = PAD.top + (found.length + 0.5) * ROW
    svg.words("median", left - 10, y, colours.text, { "text-anchor": "end" })
    svg.line(x.at(Math.min(...values)), y, x.at(Math.max(...values)), y, colours.text, {
      "stroke-width": 2,
    })
    const middle = x.at(median(values))
    svg.line(middle, y - 6, middle, y + 6, colours.text, { "stroke-width": 2 })
    svg.words(figure(median(values)), x.at(Math.max(...values)) + 9, y, colours.text, {
      "font-weight": 600,
    })
  }
  if (!found.length)
    svg.words("No seed has ended yet.", width / 2, height / 2, colours.muted, {
      "text-anchor": "middle",
    })
  fill(target, {
    svg,
    title: "Seed by seed",
    about: `${compared}; ${side}`,
    words:
      `${compared}: ` +
      found
        .map(({ seed, value, note }) => `seed ${seed} ${value === null ? note : figure(value)}`)
        .join(", ") +
      `; target ${figure(seeds.target)}.`,
    head: ["seed", seeds.compares || "value"],
    rows: found.map(({ seed, value, note }) => [
      String(seed),
      value === null ? note : figure(value),
    ]),
  })
}
