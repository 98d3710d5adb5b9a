// Data sets to choose from, as pictures.

import { drawCloud } from "./pictures/thumbnail.js"
import { make, rootOf } from "./parts/dom.js"

const SIDE = 84
const LONGEST = 10_000 // ms that the page may take to show another choice

export function mount(slot, component) {
  let settings = component
  const { root, unwatch } = rootOf(slot, () => draw())
  const row = make("div.bl-tiles", { role: "radiogroup", "aria-label": "Data" })
  root.append(row)
  function draw() {
    const { tiles, chosen } = settings.data
    const focused = row.contains(document.activeElement)
    row.replaceChildren(
      ...tiles.map((tile) => {
        const canvas = make("canvas", { width: SIDE, height: SIDE })
        canvas.style.width = canvas.style.height = `${SIDE}px`
        const button = make(
          "button.bl-tile",
          { type: "button", title: tile.summary },
          make(
            "div.bl-tile-picture",
            {},
            tile.preview ? canvas : make("span", {}, tile.sign ?? "…"),
          ),
          make("span", {}, tile.title),
        )
        button.setAttribute("role", "radio")
        button.setAttribute("aria-checked", String(tile.name === chosen))
        button.onclick = () => {
          for (const other of row.children) other.setAttribute("aria-checked", "false")
          button.setAttribute("aria-checked", "true")
          settings.setTriggerValue("chosen", tile.name)
          holdLaunch()
        }
        if (tile.preview) requestAnimationFrame(() => drawCloud(canvas, tile.preview, SIDE))
        return button
      }),
    )
    if (focused) row.querySelector('[aria-checked="true"]')?.focus()
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
