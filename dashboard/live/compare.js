// Runs side by side: pictures on one scale, curves with bands over seeds. Live while they run.

import { Board } from "./charts/board.js"
import { coloursOf } from "./parts/colours.js"
import { drawn, fromAddress, keepInAddress, make, Painter, segments } from "./parts/dom.js"
import { exporter, save } from "./parts/figures/export.js"
import { csvOf } from "./stream/frame_csv.js"
import { densities, paintField } from "./pictures/drawing/field.js"
import { drawGrid } from "./pictures/drawing/images.js"
import { ManyRuns } from "./many_runs.js"
import { count } from "./parts/formatting.js"
import { drawPoints } from "./pictures/drawing/points.js"
import { compareSource } from "./charts/sources.js"
import { statusWord } from "./parts/status.js"

const PICTURES = {
  "landscape/model": "landscape",
  "samples/long_run": "long-run samples",
  "samples/train_time": "train-time samples",
}
export function mount(slot, component) {
  const page = new ComparePage(slot, component)
  return { update: (data, next) => page.update(data, next), unmount: () => page.close() }
}

class ComparePage extends ManyRuns {
  reset() {
    this.cards.replaceChildren()
    this.cards.classList.toggle("many", this.data.groups.length > 8)
    this.shownCards.clear()
  }

  build() {
    this.shownCards = new Map()
    this.kind = fromAddress("picture") in PICTURES ? fromAddress("picture") : "landscape/model"
    this.kinds = segments(
      PICTURES,
      this.kind,
      (kind) => {
        this.kind = kind
        keepInAddress("picture", kind)
        this.painter.ask()
      },
      "Pictures",
    )
    this.scaleNote = make("span.bl-muted")
    this.cards = make("div.bl-cards")
    const pictures = make(
      "section.bl-panel",
      {},
      make("div.bl-row", {}, make("h3", {}, "Pictures"), this.kinds, this.scaleNote),
      this.cards,
    )
    this.painter = new Painter(pictures, () => this.drawPictures())
    this.board = new Board(compareSource(this))
    this.board.grid.classList.add("bl-wide")
    // a page with a board of its own wants the pictures alone
    this.root.append(
      ...(this.data.bare ? [pictures] : [this.notices.slot, pictures, this.board.slot]),
    )
  }

  // ------------------------------------------------------------------ pictures

  /** The first run of every group; a shared scale makes colours comparable. */
  drawPictures() {
    const colours = coloursOf(this.root)
    const frames = this.data.groups.map((group) => this.frames.get(group.runs[0])?.[this.kind])
    const available = Object.keys(PICTURES).filter((kind) =>
      [...this.frames.values()].some((frames) => frames[kind]),
    )
    for (const kind of Object.keys(PICTURES)) {
      this.kinds.disable(kind, available.includes(kind) ? "" : "None of these runs draws this.")
    }
    if (!available.includes(this.kind) && available.length) {
      this.kind = available[0]
      this.kinds.choose(this.kind)
      return
    }
    const masses = frames.map((frame) => {
      if (frame?.header.kind !== "field") return null
      const { x_range: xs, y_range: ys } = frame.header.meta
      const cell = ((xs[1] - xs[0]) * (ys[1] - ys[0])) / frame.arrays.values.data.length
      frame.mass ??= densities(frame).reduce((sum, value) => sum + value, 0) * cell
      return frame.mass
    })
    const highest = Math.max(...masses.filter(Boolean).map((mass) => 1 / mass))
    this.scaleNote.textContent = masses.some(Boolean)
      ? "normalised densities, one colour scale"
      : ""
    this.data.groups.forEach((group, index) => {
      const card = this.card(group, index)
      const frame = frames[index]
      card.none.hidden = Boolean(frame)
      card.canvas.hidden = !frame
      if (frame) this.drawCard(card, group, frame, masses[index] * highest, colours)
    })
  }

  /** `peak`: the highest density of all, as a multiple of this one's own. */
  drawCard(card, group, frame, peak, colours) {
    const seed = this.statuses.get(group.runs[0])?.seed
    const which = group.runs.length > 1 && seed !== undefined ? [`seed ${seed}`] : []
    card.step.textContent = [...which, `step ${count(frame.header.last[0])}`].join(" · ")
    const width = Math.max(Math.min(card.element.clientWidth, 420), 120)
    const { seq, path, kind } = frame.header
    const key = [seq, path, width, colours.bg, peak.toPrecision(3)].join()
    if (key === card.painted) return
    card.painted = key
    if (kind === "images") drawGrid(card.canvas, frame, { width })
    else if (kind === "field") {
      this.paint(card.canvas, paintField(frame, colours, "density", peak), width)
    } else {
      const data = this.frames.get(group.runs[0])["samples/data"]
      drawPoints(card.canvas, frame, data, width, colours)
    }
    if (!frame.isDrawn) drawn(card.canvas, frame.header)
    frame.isDrawn = true
  }

  paint(canvas, source, width) {
    canvas.width = canvas.height = width * 2
    canvas.style.width = canvas.style.height = `${width}px`
    const context = canvas.getContext("2d")
    context.imageSmoothingQuality = "high"
    context.drawImage(source, 0, 0, width * 2, width * 2)
  }

  card(group, index) {
    const known = this.shownCards.get(group.runs[0])
    if (known) return known
    const canvas = make("canvas", { role: "img", "aria-label": group.title })
    const step = make("span.bl-muted")
    const word = make("span")
    const link = make("a.bl-name", { href: `run?id=${group.runs[0]}` }, group.title)
    const none = make("div.bl-empty", {}, "Nothing drawn yet.")
    const mark = make("i.bl-mark")
    mark.style.background = this.colour(index)
    const name = () => `${this.kind.replace("/", "-")}-${group.runs[0]}`
    const ways = exporter({
      png: () => canvas.toBlob((blob) => save(`${name()}.png`, blob)),
      csv: () =>
        save(`${name()}.csv`, csvOf(this.frames.get(group.runs[0])[this.kind]), "text/csv"),
    })
    const element = make(
      "div.bl-card",
      {},
      make("div.bl-row", {}, mark, link, ways),
      make("div.bl-row", {}, word, step),
      canvas,
      none,
    )
    this.cards.append(element)
    const card = { element, canvas, step, word, none }
    this.shownCards.set(group.runs[0], card)
    this.named()
    return card
  }

  named() {
    for (const [id, card] of this.shownCards) {
      const status = this.statuses.get(id)
      if (status && card.status !== status.status) {
        card.status = status.status
        card.word.replaceChildren(statusWord(status.status))
      }
    }
  }
}
