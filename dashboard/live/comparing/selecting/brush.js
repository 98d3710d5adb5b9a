// A brush over a picture: a drag selects what it covers, a click what it meets.

import { make } from "../../parts/dom.js"
import { placeAt, placesIn } from "./regions.js"

const LEAST = 4

/**
 * Let a canvas be brushed. `geometry()` gives where its samples lie, null where none can be
 * selected; `select(places, isAdded)` takes them.
 */
export function brush(canvas, { geometry, select }) {
  const box = make("i.bl-brush", { hidden: true })
  canvas.after(box)
  let from = null
  const pointOf = (event) => {
    const bounds = canvas.getBoundingClientRect()
    const scale = bounds.width ? parseFloat(canvas.style.width) / bounds.width : 1
    return [(event.clientX - bounds.left) * scale, (event.clientY - bounds.top) * scale]
  }
  const isDragged = (to) => Math.hypot(to[0] - from[0], to[1] - from[1]) > LEAST
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || !geometry()) return
    from = pointOf(event)
    // a finger that moves scrolls the page: it selects by taps
    if (event.pointerType === "mouse") canvas.setPointerCapture(event.pointerId)
    event.preventDefault()
  })
  canvas.addEventListener("pointermove", (event) => {
    if (!from || event.pointerType !== "mouse") return
    const to = pointOf(event)
    box.hidden = !isDragged(to)
    const scale = canvas.getBoundingClientRect().width / parseFloat(canvas.style.width)
    const edge = (axis, start) => `${start + Math.min(from[axis], to[axis]) * scale}px`
    const size = (axis) => `${Math.abs(to[axis] - from[axis]) * scale}px`
    Object.assign(box.style, {
      left: edge(0, canvas.offsetLeft),
      top: edge(1, canvas.offsetTop),
      width: size(0),
      height: size(1),
    })
  })
  const end = (event) => {
    if (!from) return
    const [start, to, known] = [from, pointOf(event), geometry()]
    const wasDragged = isDragged(to)
    from = null
    box.hidden = true
    if (!known || event.type === "pointercancel") return
    const isAdded = event.shiftKey || event.ctrlKey || event.metaKey
    select(wasDragged ? placesIn(known, start, to) : placeAt(known, start), isAdded)
  }
  canvas.addEventListener("pointerup", end)
  canvas.addEventListener("pointercancel", end)
}
