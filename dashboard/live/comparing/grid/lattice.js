// Cells on their axes: a picture or a figure each, every page of the third axis beside the other.

import { colourAt } from "../../parts/colours.js"
import { make } from "../../parts/dom.js"
import { figure } from "../../parts/formatting.js"
import { cellWords, scaleOf, valueOf, valueWords } from "./cells.js"

const LEFT = 52
const GAP = 4
const [LEAST, MOST] = [44, 132]
const FIGURE_HEIGHT = 26
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }
/** Stops of the ramp that cells use: its ends are kept for what is nearest. */
const STOPS = 9
/** Lightness below which white is read better than ink. */
const MIDDLE = 115

export class Lattice {
  /**
   * `isPicture`: cells of pictures, else of figures. `chosen(index)`: a cell was chosen.
   * `inSight(indices)`: these cells of pictures are in sight, and not drawn yet.
   */
  constructor({ isPicture, chosen, inSight }) {
    Object.assign(this, { isPicture, chosen, inSight })
    this.element = make("div.bl-lattices")
    this.cells = new Map()
    this.visible = new Set()
    this.seen = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) {
          if (isIntersecting) this.visible.add(target.index)
          else this.visible.delete(target.index)
        }
        this.inSight?.([...this.visible])
      },
      { rootMargin: "120px" },
    )
  }

  close() {
    this.seen.disconnect()
  }

  /** Make the places of all cells, {x, y, z, numX, numY, numZ, at}; none moves after that. */
  build(axes, layout, width) {
    this.seen.disconnect()
    this.visible.clear()
    this.cells.clear()
    Object.assign(this, { axes, layout })
    const perRow = layout.numZ > 1 && width >= 880 ? 2 : 1
    const each = (width - 40 * (perRow - 1)) / perRow
    const room = Math.floor((each - LEFT) / layout.numX) - GAP
    this.side = Math.max(LEAST, Math.min(MOST, room))
    const height = this.isPicture ? this.side : FIGURE_HEIGHT
    this.element.style.gridTemplateColumns = `repeat(${perRow}, minmax(0, 1fr))`
    this.pages = Array.from({ length: layout.numZ }, (_, page) => this.page(page, height))
    this.element.replaceChildren(...this.pages.map(({ section }) => section))
  }

  page(page, height) {
    const { x, y, z, numX, numY, at } = this.layout
    const title = z ? `${z.words} ${valueWords(z.values[page])}` : ""
    const about = make("span.bl-muted")
    const body = make("div.bl-lattice", { role: "group", "aria-label": title || "Cells" })
    body.style.gridTemplateColumns = `${LEFT - GAP}px repeat(${numX}, ${this.side}px)`
    for (let row = 0; row < numY; row++) {
      body.append(make("span.bl-place.bl-down", {}, valueWords(y.values[row])))
      for (let column = 0; column < numX; column++) {
        const cell = this.cell(at(column, row, page), { column, row, page })
        cell.style.height = `${height}px`
        body.append(cell)
      }
    }
    body.append(make("span.bl-place.bl-down"))
    for (const value of x.values) body.append(make("span.bl-place", {}, valueWords(value)))
    const names = make("div.bl-row.bl-muted.bl-axes", {}, `down: ${y.words}`)
    names.append(make("span.bl-right", {}, `across: ${x.words}`))
    names.style.width = `${LEFT + numX * (this.side + GAP) - GAP}px`
    const scroll = make("div.bl-scroll", {}, body, names)
    const header = make("header", {}, make("h2", {}, title), about)
    const section = make("section", {}, ...(z ? [header] : []), scroll)
    return { section, about }
  }

  cell(index, place) {
    const button = make("button.bl-xyz-cell.waiting", { type: "button", tabIndex: index ? -1 : 0 })
    Object.assign(button, { index, place })
    button.onclick = () => this.chosen(index)
    button.onkeydown = (event) => this.move(event, place)
    this.cells.set(index, button)
    if (this.isPicture) this.seen.observe(button)
    return button
  }

  move(event, { column, row, page }) {
    const move = MOVES[event.key]
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return
    const [toColumn, toRow] = [column + move[0], row + move[1]]
    const { numX, numY, at } = this.layout
    if (toColumn < 0 || toRow < 0 || toColumn >= numX || toRow >= numY) return
    event.preventDefault()
    event.stopPropagation()
    this.cells.get(at(toColumn, toRow, page)).focus()
    this.chosen(at(toColumn, toRow, page))
  }

  /** Show how each cell stands, [index, cell], in words of the figure `name`. */
  show(changed, name) {
    for (const [index, cell] of changed) {
      const button = this.cells.get(index)
      if (!button) continue
      const words = cellWords(this.axes, index, cell, name)
      button.title = words
      button.setAttribute("aria-label", words)
      const state = cell?.state ?? "waiting"
      if (button.state === state && state !== "drawing") continue
      button.state = state
      button.className = `bl-xyz-cell ${state}`
      if (state === "failed") button.replaceChildren("✕")
      else if (state === "drawing" && this.isPicture) this.bar(button, cell)
      else if (state === "waiting") button.replaceChildren()
    }
  }

  bar(button, { num, num_drawn: numDrawn }) {
    const bar = make("div")
    bar.style.width = `${num ? (100 * numDrawn) / num : 0}%`
    button.replaceChildren(make("div.bl-bar", {}, bar))
  }

  /** Mark the chosen cell, which is the one that Tab comes to. */
  mark(index) {
    for (const [each, button] of this.cells) {
      button.setAttribute("aria-pressed", String(each === index))
      button.tabIndex = each === (index ?? 0) ? 0 : -1
    }
  }

  /** Fill the cells with a figure, by its scale over all; returns the scale, or null. */
  paintFigures(cells, name, colours) {
    const values = cells.map((cell) => valueOf(cell, name)).filter((value) => value !== null)
    if (!values.length) return null
    const scale = scaleOf(values)
    const stops = colours.sequential.slice(0, STOPS)
    for (const [index, button] of this.cells) {
      const value = valueOf(cells[index], name)
      if (value === null) {
        button.style.background = button.style.color = ""
        if (cells[index]?.state !== "failed") button.replaceChildren()
        continue
      }
      const fill = colourAt(stops, scale.share(value))
      button.style.background = fill
      button.style.color = lightness(fill) < MIDDLE ? "#ffffff" : "#10151c"
      button.replaceChildren(figure(value))
    }
    return scale
  }

  /** Write beside the title of each page how many of its cells are drawn. */
  count(cells) {
    const { numX, numY } = this.layout
    this.pages.forEach(({ about }, page) => {
      const size = numX * numY
      const here = cells.slice(page * size, (page + 1) * size)
      const done = here.filter((cell) => cell?.state === "done").length
      about.textContent = `${done} of ${size} cells`
    })
  }
}

/** Of "rgb(r, g, b)", 0 to 255. */
function lightness(fill) {
  const [r, g, b] = fill.match(/\d+/g).map(Number)
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}
