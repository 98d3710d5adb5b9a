// The deciding picture of a claim, and the seeds that decide it. Drawn whole from a few figures.

import { claimDots } from "./charts/claim_dots.js"
import { claimLines } from "./charts/claim_lines.js"
import { claimSeeds } from "./charts/claim_seeds.js"
import { coloursOf } from "./parts/colours.js"
import { make, rootOf } from "./parts/dom.js"

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
    const picture = data.picture.kind === "dots" ? claimDots : claimLines
    fill(left, picture(data.picture, left.body.clientWidth, colours))
    fill(right, claimSeeds(data.seeds, data.compared, right.body.clientWidth, colours))
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
  const title = make("h2")
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
