// Data sets to choose from, as pictures: one row, and the rest behind a tile of its own.

import { drawCloud } from "./pictures/thumbnail.js"
import { make, rootOf } from "./parts/dom.js"

const SIDE = 60
const LONGEST = 10_000 // ms that the page may take to show another choice

/** `data.tiles`: [{name, title, summary, preview, sign}], `data.first` of them in the row. */
export function mount(slot, component) {
  let settings = component
  let unfolded = false
  const { root, unwatch } = rootOf(slot, () => draw())
  const row = make("div.bl-tiles-choice", { role: "radiogroup", "aria-label": "Data" })
  const frame = make("div.bl-tiles", {}, row)
  root.append(frame)
  function draw() {
    const { tiles, chosen, first } = settings.data
    const focused = row.contains(document.activeElement)
    // what is chosen is in the row, wherever it stands
    const isIn = (tile, index) => unfolded || index < first || tile.name === chosen
    const inRow = tiles.filter((tile) => !tile.last && isIn(tile, tiles.indexOf(tile)))
    const last = tiles.filter((tile) => tile.last)
    const hidden = tiles.length - inRow.length - last.length
    row.replaceChildren(...inRow.map(tileOf), ...last.map(tileOf))
    frame.replaceChildren(row, ...(hidden || unfolded ? [moreTile(hidden, unfolded, turn)] : []))
    if (focused) row.querySelector('[aria-checked="true"]')?.focus()
  }
  function tileOf(tile) {
    const canvas = make("canvas", { width: SIDE, height: SIDE })
    canvas.style.width = canvas.style.height = `${SIDE}px`
    const picture = tile.preview ? canvas : make("span", {}, tile.sign ?? "…")
    const button = make(
      "button.bl-tile",
      { type: "button", title: `${tile.title}. ${tile.summary}` },
      make("div.bl-tile-picture", {}, picture),
      make("span.bl-tile-name", {}, tile.title),
    )
    button.setAttribute("role", "radio")
    if (tile.last) button.style.order = 2
    button.setAttribute("aria-checked", String(tile.name === settings.data.chosen))
    button.onclick = () => {
      for (const other of row.children) other.setAttribute("aria-checked", "false")
      button.setAttribute("aria-checked", "true")
      settings.setTriggerValue("chosen", tile.name)
      holdLaunch()
    }
    if (tile.preview) requestAnimationFrame(() => drawCloud(canvas, tile.preview, SIDE))
    return button
  }
  function turn() {
    unfolded = !unfolded
    draw()
  }
  draw()
  return {
    update: (data, next) => {
      settings = next
      draw()
    },
    unmount: unwatch,
  }
}

/** The tile that unfolds and folds what is not in the row. */
function moreTile(hidden, unfolded, turn) {
  const picture = make("div.bl-tile-picture", {}, make("span", {}, unfolded ? "‹" : "…"))
  const name = make("span.bl-tile-name", {}, unfolded ? "fewer" : `${hidden} more`)
  const button = make("button.bl-tile", { type: "button" }, picture, name)
  button.setAttribute("aria-expanded", String(unfolded))
  button.style.order = 1
  button.onclick = turn
  return button
}

/** Switch buttons that launch off until the page shows what belongs to the new choice. */
function holdLaunch() {
  const app = document.querySelector("[data-test-script-state]")
  if (!app) return
  app.classList.add("bl-choosing")
  let hasRun = false
  const watch = new MutationObserver(() => {
    const isRunning = app.dataset.testScriptState === "running"
    hasRun ||= isRunning
    if (hasRun && !isRunning) release()
  })
  const release = () => {
    watch.disconnect()
    clearTimeout(latest)
    app.classList.remove("bl-choosing")
  }
  const latest = setTimeout(release, LONGEST)
  watch.observe(app, { attributes: true, attributeFilter: ["data-test-script-state"] })
}
