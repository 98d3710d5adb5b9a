// The chosen data, larger.

import { drawCloud } from "./pictures/thumbnail.js"
import { make, rootOf } from "./parts/dom.js"

export function mount(slot, component) {
  let { data } = component
  const { root, unwatch } = rootOf(slot, () => draw())
  const canvas = make("canvas", { role: "img" })
  root.append(canvas)
  let drawn = 0
  function draw() {
    canvas.setAttribute("aria-label", data.about)
    const side = Math.min(Math.max(slot.clientWidth, 160), 380)
    if (side !== drawn || data.preview) drawCloud(canvas, data.preview, side, { axes: true })
    drawn = side
    slot.style.minHeight = canvas.style.height
  }
  const sizes = new ResizeObserver(draw)
  sizes.observe(slot)
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
