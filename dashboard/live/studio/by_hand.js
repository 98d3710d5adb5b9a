// A start that is clicked and a shove that is dragged, on a picture of paths in the plane.

import { svgOf } from "../charts/small_charts.js"
import { coloursOf } from "../parts/colours.js"
import { make } from "../parts/dom.js"
import { apart, positionAt } from "./places.js"

/** Pixels that a press moves at least, to be a drag. */
const DRAG = 6

/** What a press from one place [x, y] to another says: a start, and a shove where it went far. */
export function meant(from, to, pointed, isDrag) {
  const start = { [pointed.x]: rounded(from[0]), [pointed.y]: rounded(from[1]) }
  if (!isDrag || !pointed.length) return start
  const step = [to[0] - from[0], to[1] - from[1]]
  const length = Math.min(Math.hypot(...step), 1)
  const direction = (Math.atan2(step[1], step[0]) * 180) / Math.PI
  return { ...start, [pointed.length]: rounded(length), [pointed.direction]: rounded(direction) }
}

function rounded(value) {
  return Number(value.toFixed(2))
}

/**
 * Let a card of paths be asked by hand. `pointed`: the fields of a start, `x` and `y`, and of a
 * shove, `length` and `direction`; `ask(fields)` is called with what is meant.
 */
export function byHand(card, pointed, ask) {
  const canvas = card.querySelector("canvas")
  if (!canvas?.plane) return
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side, axis) =>
    Math.max(side, parseFloat([canvas.style.width, canvas.style.height][axis])),
  )
  const overlay = svgOf(width, height)
  Object.assign(overlay.style, { position: "absolute", pointerEvents: "none" })
  card.style.position = "relative"
  canvas.style.cursor = "crosshair"
  canvas.style.touchAction = "none"
  canvas.before(overlay)
  const words = pointed.length
    ? "Click: all start there. Drag: they are shoved so, too."
    : "Click: all start there."
  canvas.after(make("div.bl-muted", {}, words))
  let from = null
  const at = ({ offsetX, offsetY }) => [offsetX, offsetY]
  const place = (pixel) => positionAt(pixel, canvas.plane.box, canvas.plane.ranges)
  canvas.onpointerdown = (event) => {
    from = at(event)
    canvas.setPointerCapture(event.pointerId)
  }
  canvas.onpointermove = (event) => {
    overlay.replaceChildren()
    if (!from) return
    const colours = coloursOf(card)
    overlay.dot(...from, 4, colours.accent, "start")
    overlay.line(...from, ...at(event), colours.accent, { "stroke-width": 2 })
  }
  canvas.onpointerup = (event) => {
    if (!from) return
    const isDrag = apart(from, at(event)) > DRAG
    ask(meant(place(from), place(at(event)), pointed, isDrag))
    from = null
  }
  canvas.onpointercancel = () => {
    from = null
    overlay.replaceChildren()
  }
}
