// A drawing context that writes SVG: what the panels' code uses of a canvas's, and no more.

const escaped = (text) =>
  String(text).replace(
    /[<>&"]/g,
    (sign) => ({ "<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;" })[sign],
  )
const round = (value) => Math.round(value * 100) / 100

/** What `save` keeps and `restore` brings back. */
const STATE = [
  "fillStyle",
  "strokeStyle",
  "lineWidth",
  "font",
  "textAlign",
  "textBaseline",
  "globalAlpha",
  "dash",
  "open",
]

export class SvgContext {
  constructor(width, height) {
    Object.assign(this, { width, height })
    this.parts = []
    this.path = []
    this.stack = []
    this.clips = 0
    this.open = 0
    this.dash = []
    Object.assign(this, {
      fillStyle: "#000",
      strokeStyle: "#000",
      lineWidth: 1,
      font: "12px sans-serif",
      textAlign: "left",
      textBaseline: "alphabetic",
      globalAlpha: 1,
    })
    this.measure = document.createElement("canvas").getContext("2d")
  }

  /** The whole picture on paper of a colour. */
  text(paper) {
    const groups = "</g>".repeat(this.open)
    return (
      `<svg xmlns="http://www.w3.org/2000/svg" width="${this.width}" height="${this.height}" ` +
      `viewBox="0 0 ${this.width} ${this.height}"><rect width="100%" height="100%" fill="${paper}"/>` +
      `${this.parts.join("")}${groups}</svg>`
    )
  }

  setLineDash(dash) {
    this.dash = dash
  }
  save() {
    this.stack.push(Object.fromEntries(STATE.map((name) => [name, this[name]])))
  }
  restore() {
    const before = this.stack.pop()
    this.parts.push("</g>".repeat(this.open - before.open))
    Object.assign(this, before)
  }
  /** Everything from here on moved; undone by `restore`. */
  translate(x, y) {
    this.parts.push(`<g transform="translate(${round(x)} ${round(y)})">`)
    this.open++
  }
  clip() {
    const id = `clip${++this.clips}`
    this.parts.push(
      `<clipPath id="${id}"><path d="${this.path.join("")}"/></clipPath><g clip-path="url(#${id})">`,
    )
    this.open++
  }
  beginPath() {
    this.path = []
  }
  moveTo(x, y) {
    this.path.push(`M${round(x)} ${round(y)}`)
  }
  lineTo(x, y) {
    this.path.push(`${this.path.length ? "L" : "M"}${round(x)} ${round(y)}`)
  }
  rect(x, y, w, h) {
    this.path.push(`M${round(x)} ${round(y)}h${round(w)}v${round(h)}h${round(-w)}z`)
  }
  /** Whole circles only: all that is drawn here. */
  arc(x, y, r) {
    const [left, d] = [round(x - r), round(2 * r)]
    this.path.push(
      `M${left} ${round(y)}a${round(r)} ${round(r)} 0 1 0 ${d} 0a${round(r)} ${round(r)} 0 1 0 ${-d} 0`,
    )
  }
  get opacity() {
    return this.globalAlpha < 1 ? ` opacity="${round(this.globalAlpha)}"` : ""
  }
  fill() {
    this.parts.push(`<path d="${this.path.join("")}" fill="${this.fillStyle}"${this.opacity}/>`)
  }
  stroke() {
    if (!this.path.length) return
    const dash = this.dash.length ? ` stroke-dasharray="${this.dash.join(" ")}"` : ""
    this.parts.push(
      `<path d="${this.path.join("")}" fill="none" stroke="${this.strokeStyle}" ` +
        `stroke-width="${round(this.lineWidth)}"${dash}${this.opacity}/>`,
    )
  }
  fillRect(x, y, w, h) {
    this.beginPath()
    this.rect(x, y, w, h)
    this.fill()
  }
  measureText(text) {
    this.measure.font = this.font
    return this.measure.measureText(text)
  }
  fillText(text, x, y) {
    const anchor = { left: "start", center: "middle", right: "end" }[this.textAlign] ?? "start"
    const base = { top: "hanging", middle: "central" }[this.textBaseline] ?? "auto"
    const weight = /^\d00/.exec(this.font)?.[0] ?? "400"
    const size = /[\d.]+px/.exec(this.font)?.[0] ?? "12px"
    this.parts.push(
      `<text x="${round(x)}" y="${round(y)}" fill="${this.fillStyle}" text-anchor="${anchor}" ` +
        `dominant-baseline="${base}" font-family="Source Sans, sans-serif" font-size="${size}" ` +
        `font-weight="${weight}">${escaped(text)}</text>`,
    )
  }
  drawImage(source, x, y, w = source.width, h = source.height) {
    const way = this.imageSmoothingEnabled === false ? ' style="image-rendering:pixelated"' : ""
    this.parts.push(
      `<image x="${round(x)}" y="${round(y)}" width="${round(w)}" height="${round(h)}" ` +
        `preserveAspectRatio="none"${way}${this.opacity} href="${source.toDataURL()}"/>`,
    )
  }
}
