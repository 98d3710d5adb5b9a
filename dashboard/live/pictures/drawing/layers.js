// Layers of a picture and its view, kept in the page's address.

import { chip, fromAddress, keepInAddress, segments } from "../../parts/dom.js"

/**
 * Chips for layers {name: {word, colour, on, isLayer}}; `changed(name, on)` is told of each, and
 * `layers` {name: boolean} follows. Only what differs from how the page opens is in the address.
 */
export function layerChips(options, layers, changed) {
  const chosen = new Set((fromAddress("layers") ?? "").split(",").filter(Boolean))
  return Object.fromEntries(
    Object.entries(options).map(([name, { word, colour, on }]) => {
      layers[name] = chosen.has(name) ? !on : on
      const button = chip(word, colour, layers[name], (now) => {
        layers[name] = now
        const turned = Object.keys(options).filter((each) => layers[each] !== options[each].on)
        keepInAddress("layers", turned.join(","))
        changed(name, now)
      })
      return [name, button]
    }),
  )
}

/** Exclusive views {value: word}, the first of them unless the address names another. */
export function viewSegments(options, label, changed) {
  const [usual] = Object.keys(options)
  const asked = fromAddress("view")
  const view = asked in options ? asked : usual
  const row = segments(
    options,
    view,
    (chosen) => {
      keepInAddress("view", chosen === usual ? null : chosen)
      changed(chosen)
    },
    label,
  )
  return { row, view }
}
