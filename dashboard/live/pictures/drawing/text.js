// Lines of text on a canvas, as many as there is room for, marked where they were not expected.

import { faded } from "../../parts/colours.js"
import { sized } from "./plane.js"

/** A picture this wide is read; in a smaller one strokes stand for words. */
const READ = 150

const [STEP, PAD] = [20, 10]

/** The height that all lines of a table take where they are read. */
export function heightOf({ rows }) {
  return rows.length * STEP + 2 * PAD
}

/** Draw the column of text of a table {columns, rows, text, shares} in [width, height] CSS pixels. */
export function paintText(canvas, { columns, rows, text, shares }, [width, height], colours) {
  const context = sized(canvas, width, height)
  const isRead = width > READ
  const [size, step, pad] = isRead ? [12, STEP, PAD] : [6, 8, 6]
  context.font = `${size}px ui-monospace, Menlo, Consolas, monospace`
  context.textBaseline = "middle"
  const advance = context.measureText("n").width
  const room = Math.floor((width - 2 * pad) / advance)
  const most = Math.floor((height - 2 * pad) / step)
  rows.slice(0, most).forEach((row, place) => {
    const y = pad + (place + 0.5) * step
    const signs = Array.from(row[columns.indexOf(text)]).slice(0, room)
    signs.forEach((sign, at) => {
      const x = pad + at * advance
      const missing = 1 - (shares?.[place]?.[at] ?? 1)
      if (missing > 0.05) {
        context.fillStyle = faded(colours.warning, 0.4 * missing)
        context.fillRect(x, y - step / 2, advance, step)
      }
      context.fillStyle = isRead ? colours.text : faded(colours.data, 0.5)
      if (isRead) context.fillText(sign, x, y)
      else if (sign.trim()) context.fillRect(x, y - 1, advance, 2)
    })
  })
}
