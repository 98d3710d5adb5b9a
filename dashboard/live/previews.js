// Small sets of data or samples, each drawn as large as its place allows.

import { make, rootOf } from "./parts/dom.js"
import { drawPreview } from "./pictures/thumbnail.js"

const SIDES = [160, 380]

/** `data.sets`: [{preview, about, columns: names of coordinates, walk: positions of a chain to scale,
 * title: above it, with `about` below, where there are several}]; `data.side`: most pixels of a
 * side. */
export function mount(slot, component) {
  let { data } = component
  const { root, unwatch } = rootOf(slot, () => draw())
  const cards = make("div")
  root.append(cards)
  function draw() {
    const canvases = data.sets.map(({ about, title }) =>
      make("canvas", { role: "img", "aria-label": title ?? about }),
    )
    // one alone has all the width
    cards.className = data.sets.length > 1 ? "bl-cards" : ""
    cards.replaceChildren(...data.sets.map((set, index) => cardOf(set, canvases[index])))
    paint()
  }
  function paint() {
    for (const [index, canvas] of cards.querySelectorAll("canvas").entries()) {
      const side = Math.min(
        Math.max(canvas.parentElement.clientWidth, SIDES[0]),
        data.side ?? SIDES[1],
      )
      if (canvas.dataset.side !== String(side)) {
        canvas.dataset.side = side
        drawPreview(canvas, data.sets[index], side)
      }
    }
    slot.style.minHeight = ""
  }
  const sizes = new ResizeObserver(paint)
  sizes.observe(slot)
  draw()
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

function cardOf({ title, about }, canvas) {
  if (title === undefined) return make("div.bl-card", {}, canvas)
  const name = make("div.bl-name", {}, title)
  return make("div.bl-card", {}, name, canvas, make("div.bl-muted", {}, about))
}
