// Held-out events to pick by the pointer or the keyboard, and a mask over one of them. What is picked
// goes into the form beside the answer; nothing is asked before the form is.

import { coloursOf } from "../parts/colours.js"
import { make, rootOf, segments } from "../parts/dom.js"
import { lineOf } from "../parts/table.js"
import { imageOf } from "../pictures/drawing/images.js"
import { planeOn, rangesOf } from "../pictures/drawing/plane.js"
import { readAnswer } from "../stream/answers.js"
import { MOVES, MaskEditor } from "./mask_editor.js"
import { REST } from "./sweep.js"
import { apart, beside, nearest, positionAt } from "./places.js"

const MOST_IMAGES = 24
const SIDE = 320
/** Pixels within which a click is of a point. */
const NEAR = 24

export function mount(slot, component) {
  const picker = new Picker(slot, component)
  return { update: (data) => picker.update(data), unmount: () => picker.unwatch() }
}

class Picker {
  constructor(slot, component) {
    const { root, unwatch } = rootOf(slot, () => this.draw())
    Object.assign(this, { slot, root, unwatch, component })
    this.update(component.data)
  }

  /** `fields`: [{field, kind, label, implies}], kind `row`, `place` or `mask`; `values` of the
   * form. */
  async update(data) {
    const isAnother = data.held_out !== this.data?.held_out || data.ability !== this.data?.ability
    const isThere = ([field, value]) => `${data.values[field]}` === `${value}`
    if (Object.entries(this.given ?? {}).every(isThere)) this.given = {}
    // what was picked and is on its way stands, whatever the form says before it came
    this.data = { ...data, values: { ...data.values, ...this.given } }
    this.rows = data.fields.filter(({ kind }) => kind === "row")
    this.mask = data.fields.find(({ kind }) => kind === "mask")
    if (isAnother) {
      this.given = {}
      this.data.values = data.values
      this.field = this.rows[0]?.field
      this.editor = this.mask
        ? new MaskEditor(data.values[this.mask.field] ?? "", (word) => this.give(this.mask, word))
        : null
      const name = data.held_out
      this.frame = null
      try {
        const { frames } = await readAnswer({ run: data.run, name, token: data.token })
        this.frame = frames.find(({ header }) => header.path === "positions")
      } catch (error) {
        this.root.replaceChildren(make("div.bl-note.alarm", {}, error.message))
      }
    }
    this.draw()
  }

  /** Put a value into the form, with what it implies; a mask that hides something asks by itself. */
  give({ field, implies, kind }, value) {
    this.given = { ...this.given, ...implies, [field]: value }
    this.data.values = { ...this.data.values, ...this.given }
    // all of it, once the hand rests: of several acts in a row the page may see the last alone
    clearTimeout(this.resting)
    const asks = kind === "mask" && value !== ""
    this.resting = setTimeout(
      () => this.component.setTriggerValue("act", { fields: this.given, asks }),
      asks ? 2 * REST : REST / 2,
    )
  }

  pick(row) {
    const index = this.rows.findIndex(({ field }) => field === this.field)
    this.cursor = row
    this.give(this.rows[index], row)
    // two ends are picked one after the other
    this.field = this.rows[(index + 1) % this.rows.length].field
    this.draw()
  }

  /** What is picked: rows and, in the plane, places. */
  targets() {
    const isPlane = this.frame.arrays.positions?.shape[1] === 2
    return isPlane ? this.data.fields.filter(({ kind }) => kind !== "mask") : this.rows
  }

  /** Those of them that count: the others wait for a field that they imply. */
  active() {
    const { values } = this.data
    const counts = ({ implies }) => Object.entries(implies).every(([k, v]) => values[k] === v)
    return this.targets().filter(counts)
  }

  /** Take a position of the plane as the place, or the row of the event there. */
  pickAt(row, position) {
    const target = this.targets().find(({ field }) => field === this.field)
    if (target.kind === "row") return row === null ? null : this.pick(row)
    this.give(target, position.map(rounded))
    return this.draw()
  }

  draw() {
    if (!this.frame) return
    const colours = coloursOf(this.root)
    const hadFocus = this.root.querySelector(".bl-picked canvas") === document.activeElement
    const isImages = this.frame.header.kind === "images"
    const isText = this.frame.header.kind === "table"
    const targets = this.targets()
    const ends =
      targets.length > 1
        ? segments(
            Object.fromEntries(targets.map(({ field, label }) => [field, label])),
            this.field,
            (field) => (this.field = field),
            "Which one is picked next",
          )
        : ""
    const chosen = this.active().map(
      ({ field, label }) => `${label} ${[this.data.values[field] ?? "none"].flat().join(", ")}`,
    )
    const held = make(
      "div.bl-picked",
      {},
      make(
        "header",
        {},
        make("b", {}, "Held-out events"),
        make("span.bl-muted", {}, chosen.join(" · ")),
        ends,
      ),
      isImages ? this.thumbnails() : isText ? this.lines() : this.points(colours),
    )
    const isDrawn = this.editor && isImages
    const row = Math.min(this.data.values[this.rows[0]?.field] ?? 0, this.numImages() - 1)
    this.root.replaceChildren(
      make("div.bl-picker", {}, ...(isDrawn ? [this.editor.element] : []), held),
    )
    if (hadFocus) held.querySelector("canvas")?.focus({ preventScroll: true })
    if (isDrawn) this.editor.show(this.frame, row, colours)
    this.slot.style.minHeight = ""
  }

  numImages() {
    return this.frame.arrays.pixels?.shape[0] ?? 1
  }

  thumbnails() {
    const picked = this.rows.map(({ field }) => this.data.values[field])
    const num = Math.min(this.numImages(), MOST_IMAGES)
    const cells = Array.from({ length: num }, (_, row) => {
      const button = make(
        "button",
        { type: "button", title: `Row ${row}`, "aria-label": `Row ${row}` },
        imageOf(this.frame, row),
      )
      button.setAttribute("aria-pressed", String(picked.includes(row)))
      button.onclick = () => this.pick(row)
      return button
    })
    return make("div.bl-thumbnails", {}, ...cells)
  }

  lines() {
    const picked = this.rows.map(({ field }) => this.data.values[field])
    const { columns, rows, text } = this.frame.header.meta
    const cells = rows.map((row, place) => {
      const line = lineOf(row[columns.indexOf(text)])
      const button = make("button", { type: "button", title: `Row ${place}` }, line)
      button.setAttribute("aria-pressed", String(picked.includes(place)))
      button.onclick = () => this.pick(place)
      return button
    })
    return make("div.bl-picked-lines", {}, ...cells)
  }

  /** Points in the plane of their first two coordinates; the nearest to the pointer is picked. */
  points(colours) {
    const canvas = make("canvas", { tabIndex: 0, role: "application", "aria-label": HELP })
    const { positions } = this.frame.arrays
    const [num, dim] = positions.shape
    const axes = this.frame.header.meta.axes ?? []
    const ranges = rangesOf(positions, { isEqual: !axes.length })
    const places = []
    const at = (row) => Array.from(positions.data.subarray(row * dim, row * dim + 2))
    let box = null
    const paint = () => {
      const plane = planeOn(canvas, SIDE, ranges, colours, axes)
      const { context, place } = plane
      box = plane.box
      context.fillStyle = colours.data
      for (let row = 0; row < num; row++) {
        places[row] = place(...at(row))
        context.fillRect(places[row][0] - 1.5, places[row][1] - 1.5, 3, 3)
      }
      const ring = (position, colour, radius) => {
        if (!position) return
        context.strokeStyle = colour
        context.lineWidth = 2
        context.beginPath()
        context.arc(...position, radius, 0, 2 * Math.PI)
        context.stroke()
      }
      for (const { field, kind } of this.active()) {
        const value = this.data.values[field]
        if (kind === "row") ring(places[value], colours.accent, 6)
        else if (value?.length === 2) ring(place(...value), colours.chains, 6)
      }
      if (document.activeElement === canvas) ring(places[this.cursor ?? 0], colours.muted, 9)
    }
    paint()
    canvas.onclick = ({ offsetX, offsetY }) => {
      const row = nearest(places, [offsetX, offsetY])
      const isNear = row !== null && apart(places[row], [offsetX, offsetY]) < NEAR
      this.pickAt(isNear ? row : null, positionAt([offsetX, offsetY], box, ranges))
    }
    canvas.onkeydown = (event) => {
      const move = MOVES[event.key]
      if (move) this.cursor = beside(places, this.cursor ?? 0, move)
      else if (event.key === " ") this.pickAt(this.cursor ?? 0, at(this.cursor ?? 0))
      else return
      event.preventDefault()
      event.stopPropagation()
      if (move) paint()
    }
    Object.assign(canvas, { onfocus: paint, onblur: paint })
    return canvas
  }
}

/** Four figures are as close as a pixel is. */
function rounded(value) {
  return Number(value.toPrecision(4))
}

const HELP =
  "Held-out points; click one to pick it. By keyboard: arrows move from point to point, space picks."
