// An SVG as pixels or on paper, in the page's font.

import { make } from "../dom.js"

const FAMILY = "Source Sans"
/** pixels of a PNG a CSS pixel */
const SCALE = 3
let faces = null

/** CSS that gives a document of its own the page's font, its files included. */
function fontFaces() {
  faces ??= Promise.all(
    [...document.styleSheets].flatMap(rulesOf).filter(isUpright).map(inlined),
  ).then((all) => all.join("\n"))
  return faces
}

function rulesOf(sheet) {
  try {
    return [...sheet.cssRules]
  } catch {
    return [] // of another origin
  }
}

function isUpright(rule) {
  const { fontFamily = "", fontStyle = "" } = rule instanceof CSSFontFaceRule ? rule.style : {}
  return fontFamily.replace(/["']/g, "") === FAMILY && fontStyle !== "italic"
}

async function inlined({ cssText, parentStyleSheet }) {
  const [whole, address] = /url\("?([^")]+)"?\)/.exec(cssText) ?? []
  if (!whole) return ""
  const answer = await fetch(new URL(address, parentStyleSheet.href ?? document.baseURI))
  const reader = new FileReader()
  reader.readAsDataURL(await answer.blob())
  await new Promise((resolve) => (reader.onload = resolve))
  return cssText.replace(whole, `url("${reader.result}")`)
}

/** A PNG, as a blob, of an SVG of a size in CSS pixels. */
export async function pixelsOf(svg, [width, height]) {
  const style = `<style>${await fontFaces()}</style>`
  const image = new Image()
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg.replace(/(<svg[^>]*>)/, `$1${style}`))}`
  await image.decode()
  const canvas = make("canvas", { width: width * SCALE, height: height * SCALE })
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height)
  return new Promise((resolve) => canvas.toBlob(resolve))
}

/** A document of one page that holds an SVG and nothing else. */
export function pageOf(svg, [width, height], title, style) {
  const words = title.replace(/[<&]/g, " ")
  return (
    `<!doctype html><title>${words}</title><style>${style}` +
    `@page { size: ${width}px ${height}px; margin: 0 } body { margin: 0 } svg { display: block }` +
    `* { print-color-adjust: exact }</style>${svg}`
  )
}

/** Print an SVG alone, on paper of its size: printers of all browsers write PDF. */
export async function printed(svg, size, title) {
  const frame = make("iframe", { srcdoc: pageOf(svg, size, title, await fontFaces()) })
  frame.style.cssText = "position:fixed;width:0;height:0;border:0;visibility:hidden"
  frame.setAttribute("aria-hidden", "true")
  document.body.append(frame)
  await new Promise((resolve) => (frame.onload = resolve))
  await frame.contentDocument.fonts.ready
  frame.contentWindow.onafterprint = () => setTimeout(() => frame.remove())
  frame.contentWindow.print()
}
