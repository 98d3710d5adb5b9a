// A panel as a figure for a paper: its title, the run, a legend and the bar of its colours.

import { cut } from "./text.js"

const FAMILY = "'Source Sans', 'Source Sans Pro', sans-serif"
const MARGIN = 14
const LINE = 20

/** The name of the run that the page shows; "" where it shows none. */
export function runName() {
  return document.querySelector(".basin-head h1")?.textContent.trim() ?? ""
}

/**
 * A drawing of `size` [width, height] with what stands around it: {size, draw(context)}. `words`:
 * {title, about, legend: [{name, colour, dash}], scale: {low, high, colours}}, each but the title
 * may be missing.
 */
export function framed(draw, [width, height], words, colours) {
  const { title, about = "", legend = [], scale = null } = words
  const foot = legend.length || scale ? LINE + 8 : 0
  const top = MARGIN + LINE + (about ? LINE : 0) + 6
  const whole = [Math.max(width, 240) + 2 * MARGIN, top + height + foot + MARGIN]
  const line = (context, text, y, font, colour) => {
    context.font = font
    context.fillStyle = colour
    context.textAlign = "left"
    context.textBaseline = "top"
    context.fillText(cut(context, text, whole[0] - 2 * MARGIN), MARGIN, y)
  }
  return {
    size: whole,
    draw(context) {
      line(context, title, MARGIN, `600 15px ${FAMILY}`, colours.text)
      if (about) line(context, about, MARGIN + LINE, `12.5px ${FAMILY}`, colours.muted)
      context.save()
      context.translate(MARGIN, top)
      draw(context, width, height)
      context.restore()
      if (foot) paintFoot(context, [MARGIN, top + height + 10], { legend, scale }, colours)
    },
  }
}

function paintFoot(context, [left, y], { legend, scale }, colours) {
  let x = left
  context.font = `12.5px ${FAMILY}`
  context.textAlign = "left"
  context.textBaseline = "middle"
  const word = (text, colour) => {
    context.fillStyle = colour
    context.fillText(text, x, y + LINE / 2)
    x += context.measureText(text).width + 8
  }
  if (scale) {
    word(scale.low, colours.muted)
    const [wide, parts] = [90, 45]
    for (let part = 0; part < parts; part++) {
      context.fillStyle = scale.colourAt(part / (parts - 1))
      context.fillRect(x + (part * wide) / parts, y + 5, wide / parts + 0.5, 10)
    }
    x += wide + 8
    word(scale.high, colours.muted)
    x += 14
  }
  for (const { name, colour, dash } of legend) {
    context.strokeStyle = context.fillStyle = colour
    if (dash) {
      context.lineWidth = 1.4
      context.setLineDash(dash)
      context.beginPath()
      context.moveTo(x, y + LINE / 2)
      context.lineTo(x + 16, y + LINE / 2)
      context.stroke()
      context.setLineDash([])
      x += 22
    } else {
      context.beginPath()
      context.arc(x + 4, y + LINE / 2, 4, 0, 2 * Math.PI)
      context.fill()
      x += 14
    }
    word(name, colours.text)
    x += 10
  }
}
