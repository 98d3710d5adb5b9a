// Data sets to choose from, as pictures.

import { drawCloud } from "./pictures/thumbnail.js"
import { make, rootOf } from "./parts/dom.js"

const SIDE = 84

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
