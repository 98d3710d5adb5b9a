// The colours of the theme that the page shows now. Their home is colours.json.

import tokens from "../colours.json" with { type: "json" }

/** Red, green, blue of "#rrggbb", 0 to 255. */
export function rgb(hex) {
  const value = parseInt(hex.slice(1, 7), 16)
  return [value >> 16, (value >> 8) & 255, value & 255]
}

/** A colour with an opacity, as CSS. */
export function faded(hex, opacity) {
  return `rgba(${rgb(hex).join(",")},${opacity})`
}

function isDark(element) {
  const text = getComputedStyle(element).getPropertyValue("--st-background-color").trim()
  const paper = /^#[0-9a-f]{6}/i.test(text) ? rgb(text) : [252, 252, 251]
  return paper[0] * 0.299 + paper[1] * 0.587 + paper[2] * 0.114 < 128
}

/** The tokens that fit an element's background. */
export function coloursOf(element) {
  return isDark(element) ? tokens.dark : tokens.light
}

/** Calls `changed(tokens)` when the theme changes; returns a function that ends it. */
export function watchTheme(element, changed) {
  let last = isDark(element)
  const timer = setInterval(() => {
    const now = isDark(element)
    if (now !== last) {
      last = now
      changed(coloursOf(element))
    }
  }, 400)
  return () => clearInterval(timer)
}

/** 256 × 3 bytes along a list of "#rrggbb" stops. */
export function ramp(stops) {
  const table = new Uint8ClampedArray(256 * 3)
  const colours = stops.map(rgb)
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (colours.length - 1)
    const low = Math.min(Math.floor(place), colours.length - 2)
    const share = place - low
    for (let c = 0; c < 3; c++) {
      table[3 * i + c] = colours[low][c] * (1 - share) + colours[low + 1][c] * share
    }
  }
  return table
}

/** The colour at a share, 0 to 1, of the way along a list of "#rrggbb" stops. */
export function colourAt(stops, share) {
  const place = share * (stops.length - 1)
  const low = Math.min(Math.floor(place), stops.length - 2)
  const [from, to] = [rgb(stops[low]), rgb(stops[low + 1])]
  const mixed = from.map((value, part) => Math.round(value + (place - low) * (to[part] - value)))
  return `rgb(${mixed.join(",")})`
}
