// Under a model's samples: their energies, what is selected of them, and the nearest training images.

import { make } from "../../parts/dom.js"
import { count, figure } from "../../parts/formatting.js"
import { drawGrid } from "../../pictures/drawing/images.js"
import { brush } from "./brush.js"
import { paintEnergies } from "./energy_strip.js"
import { figuresOf, framed } from "./figures.js"

const MOST_IMAGES = 8

export class SampleStrip {
  constructor(selection) {
    this.selection = selection
    this.energies = make("canvas.bl-brushed", { role: "img" })
    this.images = make("canvas", { role: "img", "aria-label": "Selected, the nearest below each" })
    this.words = make("div.bl-muted.bl-small")
    this.element = make("div.bl-strip", { hidden: true }, this.energies, this.words, this.images)
    brush(this.energies, {
      geometry: () => this.geometry,
      select: (places, isAdded) => selection.choose(places, isAdded),
    })
  }

  /** Draw {frame, nearest, colour} of a model; nothing where no samples are here. */
  draw({ frame, nearest, colour }, width, colours) {
    const { selection } = this
    this.element.hidden = !frame
    if (!frame) return
    const key = [frame.header.time, frame.header.run, width, colours.bg, selection.text()].join()
    if (key === this.drawn) return
    this.drawn = key
    const values = Array.from(frame.arrays.energies?.data ?? [])
    this.geometry = values.length
      ? paintEnergies(this.energies, values, selection, width, colour, colours)
      : null
    this.energies.hidden = !this.geometry
    const figures = figuresOf({ frame, nearest }, selection.places)
    this.words.textContent = inWords(figures)
    this.energies.ariaLabel = `Energies of the samples under the model itself. ${inWords(figures)}`
    this.drawImages(frame, nearest, figures.num, width, colours)
  }

  drawImages(frame, nearest, num, width, colours) {
    const hasAny = num > 0 && frame.header.kind === "images" && nearest?.header.kind === "images"
    this.images.hidden = !hasAny
    if (!hasAny) return
    const most = Math.min(frame.arrays.pixels.shape[0], nearest.arrays.pixels.shape[0])
    const places = [...this.selection.places].filter((place) => place < most).slice(0, MOST_IMAGES)
    if (!places.length) {
      this.images.hidden = true
      return
    }
    const of = (each) => places.map((place) => [each, place])
    const perRow = places.length
    const all = framed([...of(frame), ...of(nearest)])
    const room = (width * perRow) / MOST_IMAGES
    drawGrid(this.images, all, { width: room, count: 2 * perRow, perRow, accent: colours.accent })
  }
}

function inWords({ num, energy, energyOfAll, distance }) {
  const of = Number.isFinite(energyOfAll) ? `mean energy ${figure(energyOfAll)}` : ""
  if (!num) return of
  const parts = [`${count(num)} selected`]
  if (Number.isFinite(energy))
    parts.push(`mean energy ${figure(energy)}, of all ${figure(energyOfAll)}`)
  if (Number.isFinite(distance)) parts.push(`${figure(distance)} from the nearest training event`)
  return parts.join(" · ")
}
