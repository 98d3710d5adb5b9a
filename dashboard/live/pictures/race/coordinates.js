// The two coordinates on which positions of more are drawn, one choice for all racers.

import { fromAddress, keepInAddress, make } from "../../parts/dom.js"

const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉"

/** The names of the coordinates of a Points frame: its own, or x₁, x₂, … */
export function namesOf(frame) {
  const { axes } = frame.header.meta
  if (axes?.length) return axes
  const below = (place) => String(place).replace(/\d/g, (digit) => SUBSCRIPTS[digit])
  return Array.from({ length: frame.arrays.positions.shape[1] }, (_, at) => `x${below(at + 1)}`)
}

/** The places of two coordinates as the address holds them, counted from 1 there; else the first two. */
export function axesOf(text, num) {
  const axes = (text ?? "").split(",").map((place) => Number(place) - 1)
  const isGood = (axis) => Number.isInteger(axis) && axis >= 0 && axis < num
  return axes.length === 2 && axes.every(isGood) ? axes : [0, Math.min(1, num - 1)]
}

export class Coordinates {
  /** `onChoose()`: others were chosen. */
  constructor(onChoose) {
    this.onChoose = onChoose
    this.names = []
    this.axes = [0, 1]
    this.lists = ["across", "upwards"].map((way) => make("select", { "aria-label": way }))
    this.about = make("span.bl-muted")
    this.slot = make(
      "div.bl-row.bl-coordinates",
      { hidden: true },
      make("label.bl-muted", {}, "across ", this.lists[0]),
      make("label.bl-muted", {}, "upwards ", this.lists[1]),
      this.about,
    )
    this.lists.forEach((list, way) => {
      list.onchange = () => {
        this.axes[way] = Number(list.value)
        keepInAddress("axes", this.axes.map((axis) => axis + 1).join())
        this.onChoose()
      }
    })
  }

  /** Offer the coordinates of a Points frame where there is something to choose; `hasData`: points
   * of the target set the scale. */
  offer(frame, hasData) {
    const num = frame.arrays.positions.shape[1]
    this.slot.hidden = num < 3
    const names = namesOf(frame)
    if (names.join() !== this.names.join()) {
      this.names = names
      this.axes = axesOf(fromAddress("axes"), num)
      this.lists.forEach((list, way) => {
        list.replaceChildren(...names.map((name, at) => make("option", { value: at }, name)))
        list.value = this.axes[way]
      })
    }
    this.about.textContent =
      `${num} coordinates to choose from` +
      (hasData
        ? " · grey: draws of the target itself, whose middle 99 % set the scale"
        : " · the middle 99 % of its own draws set each scale")
  }
}
