// Any panel as PNG, SVG or CSV: a button that opens three words.

import { coloursOf } from "../colours.js"
import { make } from "../dom.js"
import { framed } from "./figure.js"
import { SvgContext } from "./svg_context.js"

/** Hand a file to the browser. */
export function save(name, content, type) {
  const blob = content instanceof Blob ? content : new Blob([content], { type })
  const link = make("a", { href: URL.createObjectURL(blob), download: name })
  document.body.append(link)
  link.click()
  link.remove()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}

/** A button that puts the page's address, with all that is chosen in it, on the clipboard. */
export function linkCopier() {
  const button = make("button.bl-button", { type: "button" }, "Copy link")
  button.setAttribute("aria-live", "polite")
  button.onclick = async () => {
    let words = "Copied"
    try {
      await navigator.clipboard.writeText(window.location.href)
    } catch {
      // only pages of https and localhost may write there
      words = "Copy it from the address bar"
    }
    button.textContent = words
    setTimeout(() => (button.textContent = "Copy link"), 2000)
  }
  return button
}

/** A button with the ways to export: {png, svg, csv}, functions; those that are not there are left out. */
export function exporter(ways) {
  const list = make("span.bl-export-list", { hidden: true })
  const button = make("button.bl-quiet", {
    type: "button",
    title: "Export this panel",
    textContent: "⤓",
  })
  button.setAttribute("aria-label", "Export this panel")
  button.setAttribute("aria-expanded", "false")
  const show = (on) => {
    list.hidden = !on
    button.setAttribute("aria-expanded", String(on))
  }
  button.onclick = () => show(list.hidden)
  for (const [way, act] of Object.entries(ways)) {
    if (!act) continue
    const choice = make("button.bl-quiet", { type: "button", textContent: way.toUpperCase() })
    choice.onclick = () => {
      show(false)
      act()
    }
    list.append(choice)
  }
  const slot = make("span.bl-export", {}, list, button)
  slot.onkeydown = (event) => {
    if (event.key === "Escape") show(false)
  }
  return slot
}

/**
 * The ways of a panel drawn on a canvas, as a figure for a paper. `draw(context, width, height)`
 * draws it in CSS pixels; `size()` gives them; `words()` says what stands around it, as `framed`
 * takes it; `csv()` its numbers as text.
 */
export function canvasWays(element, name, { size, draw, words, csv }) {
  const paper = () => coloursOf(element).bg
  const figure = () => framed(draw, size(), words(), coloursOf(element))
  return exporter({
    png: () => {
      const { size, draw } = figure()
      const [width, height] = size
      const scale = 3
      const canvas = make("canvas", { width: width * scale, height: height * scale })
      const context = canvas.getContext("2d")
      context.setTransform(scale, 0, 0, scale, 0, 0)
      context.fillStyle = paper()
      context.fillRect(0, 0, width, height)
      draw(context)
      canvas.toBlob((blob) => save(`${name()}.png`, blob))
    },
    svg: () => {
      const { size, draw } = figure()
      const context = new SvgContext(...size)
      draw(context)
      save(`${name()}.svg`, context.text(paper()), "image/svg+xml")
    },
    csv: csv && (() => save(`${name()}.csv`, csv(), "text/csv")),
  })
}
