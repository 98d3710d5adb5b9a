// A card for each model that is compared, one for real images, one for the difference of two.

import { drawn, keepInAddress, make } from "../parts/dom.js"
import { exporter, save } from "../parts/figures/export.js"
import { statusWord } from "../parts/status.js"
import { drawGrid } from "../pictures/drawing/images.js"
import { csvOf } from "../stream/frame_csv.js"
import { DifferenceCard } from "./difference_card.js"
import { layOut, paintCompared, viewOf } from "./pictures.js"
import { keyOf, ONE_SEED } from "./seeded.js"
import { brush } from "./selecting/brush.js"
import { SampleStrip } from "./selecting/sample_strip.js"

export class ModelCards {
  /** `page`: the page of many runs that these are of. */
  constructor(page) {
    this.page = page
    this.element = make("div.bl-cards.bl-compared")
    this.shown = new Map()
    this.difference = new DifferenceCard(() => page.painter.ask())
  }

  reset() {
    this.element.replaceChildren()
    this.shown.clear()
  }

  /**
   * Draw {frame, data, words, nearest, peak, view, step} of every group; `real`: real images beside
   * them; `pairs`: [{title, frame}] that may be taken from one another.
   */
  draw(pictures, { real, pairs, colours, isPast, hasNearest }) {
    const { page } = this
    const cards = page.data.groups.map((group, index) => this.card(group, index))
    this.place(this.real().element, Boolean(real))
    this.place(this.difference.element, pairs.length > 1)
    const side = layOut(this.element, this.element.clientWidth)
    pictures.forEach((picture, index) => {
      const card = cards[index]
      // of a moment that is on its way, the last one stays in sight
      const isKept = isPast && Boolean(card.painted) && picture.near !== null
      card.none.hidden = Boolean(picture.frame) || isKept
      card.canvas.hidden = !card.none.hidden
      card.none.textContent = picture.words ?? "Nothing drawn yet."
      card.step.textContent = picture.step
      this.showNearest(card, hasNearest ? picture.nearest : null, side)
      const coloured = { ...picture, colour: page.colour(index) }
      card.canvas.classList.toggle("bl-brushed", Boolean(picture.selected))
      showClasses(card.legend, picture, colours)
      card.strip.draw(picture.selected ? coloured : {}, side, colours)
      if (!picture.frame) return
      this.drawCard(card, coloured, side, colours)
    })
    if (real) this.drawCard(this.real(), { frame: real, peak: 1 }, side, colours)
    if (pairs.length > 1) {
      this.difference.draw(pairs, viewOf(pairs.map(({ frame }) => frame)), side, colours)
    }
  }

  /** Put a card after those of the models, or take it away. */
  place(element, isWanted) {
    if (!isWanted) element.remove()
    else if (!element.isConnected) this.element.append(element)
  }

  drawCard(card, picture, width, colours) {
    const { header } = picture.frame
    const { seq, path, time } = header
    const key = JSON.stringify([this.page.kind, seq, path, time, width, colours.bg, picture.view])
    const over = `${picture.data?.header.time} ${picture.selected?.text()} ${picture.columns} ${picture.classes}`
    const painted = `${key} ${picture.peak.toPrecision(3)} ${over}`
    if (painted === card.painted) return
    card.painted = painted
    card.geometry = paintCompared(card.canvas, picture, picture.view, width, colours)
    if (!picture.frame.isDrawn) drawn(card.canvas, header)
    picture.frame.isDrawn = true
  }

  /** Under the samples of a model, the training image nearest to each, at the same places. */
  showNearest(card, frame, width) {
    card.near.hidden = !frame
    if (!frame || (card.nearest === frame && card.nearestWidth === width)) return
    Object.assign(card, { nearest: frame, nearestWidth: width })
    drawGrid(card.near.lastChild, frame, { width })
  }

  real() {
    if (!this.shownReal) {
      const canvas = make("canvas", { role: "img", "aria-label": "Real images" })
      const head = make("div.bl-row", {}, make("span.bl-name", {}, "Real images"))
      const element = make("div.bl-card", {}, head, make("div.bl-row.bl-muted", {}, "data"), canvas)
      this.shownReal = { element, canvas }
    }
    return this.shownReal
  }

  /** A choice of the seed that is drawn, of a group of several. */
  seedChoice(group) {
    const { page } = this
    const choice = make("select", { "aria-label": "Seed drawn", title: "Seed drawn" })
    choice.onchange = () => {
      page.chosen.set(group.runs[0], choice.value)
      keepInAddress("seeds", page.runsDrawn().join(","))
      this.named()
      page.seedChosen()
    }
    choice.show = () => {
      choice.replaceChildren(
        ...group.runs.map((run) =>
          make("option", {
            value: run,
            selected: run === page.runOf(group),
            textContent: `seed ${page.statuses.get(run)?.seed ?? "…"}`,
          }),
        ),
      )
    }
    return choice
  }

  card(group, index) {
    const known = this.shown.get(keyOf(group))
    if (known) return known
    const { page } = this
    const canvas = make("canvas", { role: "img", "aria-label": group.title })
    const step = make("span.bl-muted")
    const word = make("span")
    const address = { href: `run?id=${group.runs[0]}`, title: group.title }
    const link = make("a.bl-name", address, group.title)
    const none = make("div.bl-empty", {}, "Nothing drawn yet.")
    const near = make(
      "div",
      { hidden: true },
      make("div.bl-muted", {}, "Nearest training image of each"),
      make("canvas", { role: "img", "aria-label": `Nearest training images, ${group.title}` }),
    )
    const mark = make("i.bl-mark")
    mark.style.background = page.colour(index)
    const name = () => `${page.kind.replace("/", "-")}-${page.runOf(group)}`
    const ways = exporter({
      png: () => canvas.toBlob((blob) => save(`${name()}.png`, blob)),
      csv: () => save(`${name()}.csv`, csvOf(page.pictureOf(group).frame), "text/csv"),
    })
    const legend = make("div.bl-legend", { hidden: true })
    const strip = new SampleStrip(page.seeded.selection)
    const seeds = group.runs.length > 1 ? this.seedChoice(group) : null
    const element = make(
      "div.bl-card",
      {},
      make("div.bl-row", {}, mark, link, ways),
      make("div.bl-row", {}, word, ...(seeds ? [seeds] : []), step),
      canvas,
      legend,
      none,
      strip.element,
      near,
    )
    // real images and the difference come after all models
    const after = [this.shownReal?.element, this.difference.element]
    const next = after.find((each) => each?.parentElement === this.element)
    this.element.insertBefore(element, next ?? null)
    const card = { element, canvas, step, word, none, near, group, seeds, link, strip, legend }
    brush(canvas, {
      geometry: () => (page.kind === ONE_SEED ? card.geometry : null),
      select: (places, isAdded) => page.seeded.selection.choose(places, isAdded),
    })
    this.shown.set(keyOf(group), card)
    this.named()
    return card
  }

  named() {
    for (const card of this.shown.values()) {
      const run = this.page.runOf(card.group)
      const status = this.page.statuses.get(run)
      const seeds = card.group.runs.map((id) => this.page.statuses.get(id)?.seed).join()
      const key = `${run} ${status?.status} ${seeds}`
      if (!status || card.status === key) continue
      card.status = key
      card.word.replaceChildren(statusWord(status.status))
      card.link.href = `run?id=${run}`
      card.seeds?.show()
    }
  }
}

/** Names of the classes of points, in their colours. */
function showClasses(legend, { frame, classes }, { runs }) {
  legend.hidden = !classes || frame?.header.kind !== "points"
  const key = legend.hidden ? "" : [...classes, ...runs].join()
  if (key === legend.key) return
  legend.key = key
  const entries = (classes ?? []).map((name, label) => {
    const mark = make("i.bl-mark")
    mark.style.background = runs[label % runs.length]
    return make("span.bl-row", {}, mark, name)
  })
  legend.replaceChildren(...entries)
}
