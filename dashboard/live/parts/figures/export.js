// Any panel as PNG, SVG, PDF or CSV: a button that opens their words.

import { coloursOf } from "../colours.js"
import { make } from "../dom.js"
import { framed } from "./figure.js"
import { pixelsOf, printed } from "./paper.js"
import { SvgContext } from "./svg_context.js"

const HINTS = { pdf: "Prints the figure alone: choose “Save as PDF”" }

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

/** Save what an address of this server answers, under the name that it gives. */
export function saveFrom(href) {
  const link = make("a", { href, download: "" })
  document.body.append(link)
  link.click()
  link.remove()
}

/** The ways of a figure; `figure()` gives {svg, size}, or a promise of it. */
export function svgWays(name, figure) {
  return {
    png: async () => {
      const { svg, size } = await figure()
      save(`${name()}.png`, await pixelsOf(svg, size))
    },
    svg: async () => save(`${name()}.svg`, (await figure()).svg, "image/svg+xml"),
    pdf: async () => {
      const { svg, size } = await figure()
      await printed(svg, size, name())
    },
  }
}

/**
 * A button with the ways to export: {png, svg, pdf, csv}, functions; those that are not there are
 * left out. `label`: what it exports.
 */
export function exporter(ways, label = "Export this panel") {
  const list = make("span.bl-export-list", { hidden: true })
  const button = make("button.bl-quiet", {
    type: "button",
    title: label,
    textContent: "⤓",
  })
  button.setAttribute("aria-label", label)
  button.setAttribute("aria-expanded", "false")
  const show = (on) => {
    list.hidden = !on
    button.setAttribute("aria-expanded", String(on))
  }
  button.onclick = () => show(list.hidden)
  for (const [way, act] of Object.entries(ways)) {
    if (!act) continue
    const choice = make("button.bl-quiet", {
      type: "button",
      title: HINTS[way] ?? "",
      textContent: way.toUpperCase(),
    })
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
  const figure = () => {
    const colours = coloursOf(element)
    const whole = framed(draw, size(), words(), colours)
    const context = new SvgContext(...whole.size)
    whole.draw(context)
    return { svg: context.text(colours.bg), size: whole.size }
  }
  const ways = svgWays(name, figure)
  return exporter({ ...ways, csv: csv && (() => save(`${name()}.csv`, csv(), "text/csv")) })
}
