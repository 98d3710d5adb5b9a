// Samples of several runs drawn with one seed, side by side.

import { drawCloud } from "./pictures/thumbnail.js"
import { make, rootOf } from "./parts/dom.js"

export function mount(slot, component) {
  let { data } = component
  const { root, unwatch } = rootOf(slot, () => draw())
  const cards = make("div.bl-cards")
  root.append(cards)
  function draw() {
    cards.replaceChildren(
      ...data.sets.map((set) => {
        const canvas = make("canvas", { role: "img", "aria-label": set.title })
        requestAnimationFrame(() =>
          drawCloud(canvas, set.preview, Math.min(canvas.parentElement.clientWidth, 340), {
            axes: true,
          }),
        )
        return make(
          "div.bl-card",
          {},
          make("div.bl-name", {}, set.title),
          canvas,
          make("div.bl-muted", {}, set.about),
        )
      }),
    )
  }
  draw()
  return {
    update: (next) => {
      data = next
      draw()
    },
    unmount: unwatch,
  }
}
